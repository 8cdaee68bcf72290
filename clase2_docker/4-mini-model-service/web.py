"""La aplicación de Flask: límites, seguridad y páginas de error comunes a todas las direcciones."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlsplit

from flask import Flask, Response, abort, make_response, render_template, request
from werkzeug.exceptions import HTTPException

from database import Database
from forms import show_number
from pages import Parts, pages
from predictor import Predictor
from shared.errors import ServiceError
from shared.settings import get_settings

MAX_BODY_BYTES = 16 * 1024
"""El formulario lleno ocupa menos de 1 kB."""

# La página no lleva código ni trae nada de fuera; si algo se colara en ella, el navegador no lo ejecutaría.
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
MESSAGES = {
    403: "El formulario se envió desde otro sitio web, y por eso no se aceptó.",
    404: "Esta página no existe.",
    405: "Esta dirección no admite esa operación.",
    413: "Lo que se envió es demasiado grande para ser este formulario.",
    415: "Lo que se envió no es un formulario.",
    500: "El servicio falló. Su registro dice por qué.",
}


def from_settings() -> Flask:
    """La aplicación que sirve gunicorn en el contenedor, con la base de datos de `DATABASE_URL`.

    Raises:
        ServiceError: si falta esa variable.
    """
    url = get_settings().database_url
    if url is None:
        raise ServiceError("Falta DATABASE_URL.", next_step="Use `docker compose up`, que la define.")
    return create_app(Predictor(), Database(url.get_secret_value()))


def create_app(predictor: Predictor, database: Database) -> Flask:
    """Crea la aplicación, con el modelo ya abierto; la base de datos puede no responder todavía."""
    app = Flask(__name__)
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY_BYTES)
    app.extensions["parts"] = Parts(predictor, database)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(number=show_number, percent=show_percent, moment=show_moment)
    app.before_request(refuse_other_sites)
    app.after_request(add_security_headers)
    app.register_error_handler(HTTPException, show_error)
    app.register_blueprint(pages)
    return app


def refuse_other_sites() -> None:
    """Rechaza lo que otra página web haga enviar al navegador de quien la visita (CSRF).

    El navegador dice de dónde sale cada petición, y una página no puede cambiarlo: primero en Sec-Fetch-Site y, los
    que no lo envían, en Origin. Un programa no envía ninguno de los dos, y no es a quien engaña este ataque.
    """
    if request.method != "POST":
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        allowed = site in ("same-origin", "none")
    else:
        allowed = origin is None or urlsplit(origin).netloc == request.host
    if not allowed:
        abort(403)


def add_security_headers(response: Response) -> Response:
    """Añade las cabeceras que limitan lo que el navegador hace con la página."""
    response.headers.extend(SECURITY_HEADERS)
    return response


def show_error(error: HTTPException) -> Response:
    """Página de error en español, con el código que corresponde."""
    code = error.code or 500
    page = render_template("error.html", code=code, message=MESSAGES.get(code, "La petición no se entendió."))
    return make_response(page, code)


def show_percent(share: float) -> str:
    """Escribe una proporción como porcentaje, sin decimales; nada es imposible ni seguro, y 0 o 100 lo parecerían."""
    if share < 0.01:
        return "< 1 %"
    return f"{share * 100:.0f} %" if share <= 0.99 else "> 99 %"


def show_moment(moment: datetime) -> str:
    """Escribe fecha y hora, que llegan en UTC."""
    return f"{moment:%d/%m/%Y %H:%M}"
