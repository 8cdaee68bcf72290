"""Programa que usa un servicio embebido, para las pruebas: dice su dirección y espera a que lo dejen o lo maten.

python tests/shared/service_probe.py NOMBRE [fork|fork-exit|fail]
"""

from __future__ import annotations

import os
import sys
import time

from shared.services import running_services


def main() -> None:
    name, *how = sys.argv[1:]
    with running_services([name]) as [endpoint]:
        if how == ["fork"] and os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        if how == ["fork-exit"]:
            if os.fork() == 0:
                sys.exit(0)
            os.wait()
        sys.stdout.write(f"{endpoint.url}\n")
        sys.stdout.flush()
        if how == ["fail"]:
            raise RuntimeError("fallo a propósito")
        sys.stdin.read()


if __name__ == "__main__":
    main()
