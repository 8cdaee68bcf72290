"""Airflow por su API REST: lanzar un DAG, esperarlo, y leer sus tareas, sus registros y sus XCom."""

from __future__ import annotations

import os
import time
from datetime import datetime, timezone
from typing import Any

import requests

from shared.errors import ServiceError

FINISHED = ("success", "failed")
POLL_SECONDS = 1.0


class AirflowApi:
    """Sesión con un servidor de Airflow.

    Args:
        url: dirección del servidor, sin `/api`.
        username: usuario; vacío si el servidor no pide contraseña, como el embebido.
        password: su contraseña.

    Raises:
        ServiceError: si el servidor no responde o rechaza al usuario.
    """

    def __init__(self, url: str, username: str = "", password: str = "") -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        # Un proxy configurado en la máquina no sabría llegar a esta dirección.
        self._session.trust_env = False
        login = {"username": username, "password": password}
        token = self._send("POST", "/auth/token", json=login) if username else self._send("GET", "/auth/token")
        self._session.headers["Authorization"] = f"Bearer {token['access_token']}"

    @classmethod
    def from_environment(cls, url: str) -> AirflowApi:
        """Sesión con el usuario y la contraseña de `AIRFLOW_USER` y `AIRFLOW_PASSWORD`; sin ellos, sin contraseña."""
        return cls(url, os.environ.get("AIRFLOW_USER", ""), os.environ.get("AIRFLOW_PASSWORD", ""))

    def _send(self, method: str, path: str, **options: Any) -> Any:
        try:
            response = self._session.request(method, f"{self.url}{path}", timeout=60, **options)
        except requests.RequestException as error:
            raise ServiceError(
                f"Airflow no responde en {self.url}.",
                why=f"{error}.",
                next_step="Arránquelo: `./labs services airflow`",
            ) from error
        if not response.ok:
            raise ServiceError(
                f"Airflow responde {response.status_code} a {method} {path}.", why=f"{response.text[:300]}"
            )
        return response.json()

    def get(self, path: str, **params: Any) -> Any:
        """`GET /api/v2/…`, ya leído del JSON."""
        return self._send("GET", f"/api/v2/{path}", params=params)

    def dags(self) -> list[dict[str, Any]]:
        """Los DAG que Airflow conoce."""
        return list(self.get("dags")["dags"])

    def import_errors(self) -> list[str]:
        """Por qué no se pudieron leer los archivos de DAG que están mal."""
        return [error["stack_trace"] for error in self.get("importErrors")["import_errors"]]

    def set_paused(self, dag_id: str, *, paused: bool) -> None:
        """Pausa o reanuda un DAG: en pausa, ni su horario ni sus datos lo lanzan."""
        self._send("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": paused})

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Lanza un DAG y devuelve el identificador de la ejecución."""
        now = datetime.now(timezone.utc).isoformat()
        body = {"logical_date": now, "conf": conf or {}}
        return str(self._send("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Las ejecuciones de un DAG, de la más antigua a la más nueva."""
        return list(self.get(f"dags/{dag_id}/dagRuns", order_by="run_after")["dag_runs"])

    def wait(self, dag_id: str, run_id: str, *, seconds: float = 600) -> str:
        """Espera a que termine una ejecución y devuelve su estado, `success` o `failed`.

        Raises:
            ServiceError: si no termina a tiempo.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            state = str(self.get(f"dags/{dag_id}/dagRuns/{run_id}")["state"])
            if state in FINISHED:
                return state
            time.sleep(POLL_SECONDS)
        raise ServiceError(
            f"{dag_id}, {run_id}: no terminó en {seconds:.0f} s.", next_step="Mírela en la interfaz de Airflow."
        )

    def clear(self, dag_id: str, run_id: str) -> None:
        """Repite una ejecución terminada, desde el principio y con el mismo identificador."""
        body = {"dry_run": False}
        self._send("POST", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/clear", json=body)

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Las tareas de una ejecución, con su estado y sus horas; las repetidas por `expand`, una a una."""
        return list(self.get(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances", limit=100)["task_instances"])

    def logs(self, dag_id: str, run_id: str, task_id: str, *, attempt: int = 1, map_index: int = -1) -> list[Any]:
        """El registro de un intento de una tarea: un diccionario por línea."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}"
        return list(self.get(path, map_index=map_index, full_content="true")["content"])

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """Lo que una tarea dejó a las demás."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.get(path, deserialize="true")["value"]
