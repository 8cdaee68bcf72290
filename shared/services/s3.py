"""Almacén de objetos: el S3 de `moto`, con los objetos guardados en `.labs/s3` (`s3_server.py` dice cómo)."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from shared.services.base import Launch, Service, probe_http
from shared.services.lifecycle import run_service


class S3(Service):
    """S3 en un puerto de 127.0.0.1; acepta cualquier credencial."""

    name = "s3"
    title = "S3 (moto)"
    variables = ("AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
    package = "moto"
    extra = "clase4"
    usual_port = 9000

    def launch(self, folder: Path, port: int) -> Launch:
        """Nuestro servidor, que guarda los objetos en la carpeta."""
        command = [sys.executable, "-m", "shared.services.s3_server", str(port), str(folder)]
        # Sin esto, moto toma por cubeta la primera parte del nombre de la máquina.
        return Launch(command, f"http://127.0.0.1:{port}", {"S3_IGNORE_SUBDOMAIN_BUCKETNAME": "true"})

    def environment(self, url: str) -> dict[str, str]:
        """Dirección y credenciales de laboratorio: no son secretas, y solo sirven aquí."""
        values = (url, "laboratorio", "laboratorio-local", "us-east-1")
        return dict(zip(self.variables, values, strict=True))

    def probe(self, url: str) -> None:
        """La raíz contesta, aunque sea que no hay permiso."""
        probe_http(url)


SERVICE = S3()
running = partial(run_service, SERVICE)
