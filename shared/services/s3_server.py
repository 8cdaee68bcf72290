"""Servidor S3 que no olvida: el de `moto`, que lo tiene todo en memoria, con una copia en disco.

Cada objeto es un archivo, `<cubeta>/<SHA-256 de la clave>`: una línea JSON (clave, metadatos, etiquetas, ETag y
fecha) y sus bytes. La clave no puede ser el nombre: admite 1024 bytes y cualquier carácter, y macOS no distingue
mayúsculas. Se escribe antes de responder, con un nombre temporal que luego se cambia; al arrancar se lee todo.

No se guardan las versiones anteriores de un objeto, las subidas por partes sin terminar, ni la configuración de
las cubetas (permisos, políticas, región, reglas): al volver a arrancar tienen la de una cubeta nueva.

    python -m shared.services.s3_server PUERTO CARPETA
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.request import Request
from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from moto.s3.models import FakeBucket, FakeKey, s3_backends
from werkzeug.serving import make_server

WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

CHANGES = frozenset({"PUT", "POST", "DELETE"})
CHECKSUM_FIELDS = ("checksum_algorithm", "checksum_value", "checksum_type", "checksum_parts")


class ObjectStore:
    """La copia en disco del S3 de moto.

    Args:
        root: carpeta con una subcarpeta por cubeta.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        self._saved: dict[str, dict[str, str]] = {}
        """Por cubeta y clave, la cabecera que hay en disco: si no cambió, no se vuelve a escribir."""

    def load(self) -> None:
        """Carga en moto lo que hay en disco; lo que quedó a medio escribir no cuenta, y se borra."""
        for folder in filter(Path.is_dir, self.root.iterdir()):
            self.backend.create_bucket(folder.name, "us-east-1")
            self._saved[folder.name] = {}
            for path in folder.iterdir():
                if path.suffix == ".tmp":
                    path.unlink()
                else:
                    self._load_object(folder.name, path)

    def _load_object(self, bucket_name: str, path: Path) -> None:
        header, content = path.read_bytes().split(b"\n", 1)
        fields = json.loads(header)
        key = self.backend.put_object(
            bucket_name, fields["key"], content, storage=fields["storage"], etag=fields["etag"]
        )
        key.set_metadata(fields["metadata"], replace=False)
        key.last_modified = datetime.fromisoformat(fields["last_modified"])
        for name in CHECKSUM_FIELDS:
            setattr(key, name, fields[name])
        self.backend.put_object_tagging(key, fields["tags"])
        self._saved[bucket_name][key.name] = header.decode()

    def sync(self, bucket_name: str, key_name: str) -> None:
        """Iguala el disco con moto: una clave o, si no se dice, toda la cubeta."""
        folder = self.root / bucket_name
        bucket = self.backend.buckets.get(bucket_name)
        if bucket is None:
            shutil.rmtree(folder, ignore_errors=True)
            self._saved.pop(bucket_name, None)
            return
        folder.mkdir(exist_ok=True)
        saved = self._saved.setdefault(bucket_name, {})
        for name in [key_name] if key_name else {*saved, *bucket.keys}:
            self._sync_object(bucket, name, folder / hashlib.sha256(name.encode()).hexdigest(), saved)

    def _sync_object(self, bucket: FakeBucket, name: str, path: Path, saved: dict[str, str]) -> None:
        key = bucket.keys.get(name)
        if not isinstance(key, FakeKey):
            path.unlink(missing_ok=True)
            saved.pop(name, None)
        elif saved.get(name) != (header := self._header(key)):
            temporary = path.with_suffix(".tmp")
            temporary.write_bytes(header.encode() + b"\n" + key.value)
            temporary.replace(path)
            saved[name] = header

    def _header(self, key: FakeKey) -> str:
        fields = {
            "key": key.name,
            "metadata": dict(key.metadata),
            "tags": self.backend.tagger.get_tag_dict_for_resource(key.arn),
            "etag": key.etag.strip('"'),
            "storage": key.storage_class,
            "last_modified": key.last_modified.isoformat(),
            **{name: getattr(key, name, None) for name in CHECKSUM_FIELDS},
        }
        return json.dumps(fields, default=bytes.decode)


def saving_changes(app: WSGIApp, store: ObjectStore) -> WSGIApp:
    """Envuelve la aplicación: lo que una petición cambia está en disco antes de que reciba su respuesta.

    Los cambios van de uno en uno, para que el disco y la memoria los vean en el mismo orden.
    """
    one_at_a_time = threading.Lock()

    def call(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in CHANGES:
            return app(environ, start_response)
        with one_at_a_time:
            response = app(environ, start_response)
            _, bucket_name, *key_parts = unquote(Request(environ).raw_path).split("/")
            if bucket_name:
                store.sync(bucket_name, "/".join(key_parts))
            return response

    return call


def main(port: int, root: Path) -> None:
    """Sirve una carpeta en un puerto de 127.0.0.1, hasta que el proceso termine."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    store = ObjectStore(root)
    store.load()
    app = saving_changes(create_backend_app("s3"), store)
    make_server("127.0.0.1", port, app, threaded=True, request_handler=MotoRequestHandler).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
