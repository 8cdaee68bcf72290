"""Las direcciones del servicio: la página, cada predicción guardada, el historial en JSON y las pruebas de salud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, abort, current_app, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from chart import draw_history
from database import Database, StoredPrediction
from forms import FIELDS, Form, read_form, show_measures
from predictor import CLASSES, Predictor
from shared.errors import ServiceError

HISTORY_LIMIT = 20
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
LARGEST_ID = 2**63 - 1
"""El mayor número que cabe en la columna `id`."""
RETRY = {"Retry-After": "5"}
"""Segundos tras los que conviene repetir lo que no se pudo hacer."""

pages = Blueprint("pages", __name__)


@dataclass(frozen=True)
class Parts:
    """Lo que las páginas usan: el modelo y la base de datos."""

    predictor: Predictor
    database: Database


def parts() -> Parts:
    """Las partes de la aplicación que atiende esta petición."""
    found: Parts = current_app.extensions["parts"]
    return found


@pages.get("/")
def show_form() -> Response:
    """El formulario, relleno con un vino de ejemplo, y el historial."""
    examples = parts().predictor.record["examples"]
    chosen = request.args.get("ejemplo", default=0, type=int)
    if not 0 <= chosen < len(examples):
        abort(404)
    return render_page(Form(show_measures(examples[chosen]["measures"])))


@pages.post("/")
def predict() -> AnyResponse:
    """Predice, guarda y lleva a la página de esa predicción: así, recargar no la repite."""
    if request.mimetype not in FORM_TYPES:
        abort(415)
    form = read_form(request.form)
    if not form.is_valid:
        return render_page(form, status=422)
    try:
        number = parts().database.add(parts().predictor.predict(form.measures))
    except ServiceError as error:
        return render_page(form, down=error)
    return redirect(url_for("pages.show_prediction", number=number), code=303)


@pages.get("/predicciones/<int:number>")
def show_prediction(number: int) -> Response:
    """Una predicción guardada, con sus medidas en el formulario."""
    try:
        stored = parts().database.get(number) if number <= LARGEST_ID else None
    except ServiceError as error:
        return render_page(Form({}), down=error)
    if stored is None:
        abort(404)
    return render_page(Form(show_measures(stored.measures)), stored=stored)


@pages.get("/historial.json")
def show_history() -> AnyResponse:
    """Las últimas predicciones, para otro programa."""
    try:
        recent, total = parts().database.latest(HISTORY_LIMIT)
    except ServiceError as error:
        return make_response({"error": error.what}, 503, RETRY)
    items = [{**vars(stored), "created_at": stored.created_at.isoformat()} for stored in recent]
    return make_response({"total": total, "predictions": items})


@pages.get("/live")
def live() -> dict[str, str]:
    """Si el proceso responde: quien lo vigila lo reinicia cuando no."""
    return {"status": "ok"}


@pages.get("/health")
def ready() -> AnyResponse:
    """Si puede atender: con el modelo abierto y la base de datos respondiendo. Reiniciarlo no arregla lo segundo."""
    model = parts().predictor.sha256
    try:
        parts().database.check()
    except ServiceError as error:
        return make_response({"status": "error", "database": error.what, "model_sha256": model}, 503, RETRY)
    return make_response({"status": "ok", "database": "ok", "model_sha256": model})


def render_page(
    form: Form, *, stored: StoredPrediction | None = None, status: int = 200, down: ServiceError | None = None
) -> Response:
    """La página completa. Si la base de datos no responde, lo dice en vez del historial, y contesta 503.

    Args:
        form: lo que muestran los campos, y sus errores.
        stored: predicción que se enseña.
        status: código de la respuesta; un error del formulario manda sobre el 503.
        down: el fallo de la base de datos, si ya lo hubo en esta petición.
    """
    history: dict[str, Any] = {}
    if down is None:
        try:
            recent, total = parts().database.latest(HISTORY_LIMIT)
            history = {"recent": recent, "total": total, "chart": draw_history(recent)}
        except ServiceError as error:
            down = error
    if down is not None:
        current_app.logger.warning("%s", down)
        status = 503 if status == 200 else status
    page = render_template(
        "pagina.html",
        fields=FIELDS,
        classes=CLASSES,
        record=parts().predictor.record,
        unseen=parts().predictor.unseen(stored.measures) if stored else [],
        form=form,
        stored=stored,
        down=down,
        tried=request.method == "POST",
        **history,
    )
    return make_response(page, status, RETRY if status == 503 else {})
