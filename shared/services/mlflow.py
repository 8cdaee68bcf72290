"""Servidor de MLflow sobre SQLite, que guarda y sirve él mismo los artefactos."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from shared.services.base import Launch, Service, probe_http
from shared.services.lifecycle import run_service


class Mlflow(Service):
    """`mlflow server` en un puerto de 127.0.0.1, con un solo proceso de trabajo."""

    name = "mlflow"
    title = "MLflow"
    variables = ("MLFLOW_TRACKING_URI",)
    package = "mlflow"
    extra = "clase3"
    usual_port = 5001
    first_start_seconds = 15
    start_deadline = 90.0

    def launch(self, folder: Path, port: int) -> Launch:  # noqa: ARG002
        """La orden nativa; las rutas son relativas a la carpeta del servicio, que puede tener espacios."""
        stores = ["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "artifacts"]
        network = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        # Los trabajos en segundo plano (evaluar modelos de lenguaje) abrirían media docena de procesos más.
        environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        command = [sys.executable, "-m", "mlflow", "server", *stores, *network]
        return Launch(command, f"http://127.0.0.1:{port}", environment)

    def probe(self, url: str) -> None:
        """`GET /health`; una dirección que no es de un servidor (`sqlite:///…`) no se comprueba."""
        if url.startswith("http"):
            probe_http(f"{url.rstrip('/')}/health")


SERVICE = Mlflow()
running = partial(run_service, SERVICE)
