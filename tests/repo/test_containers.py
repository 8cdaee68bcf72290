"""Los Dockerfile y los compose cumplen las reglas del curso."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared import ROOT
from tests.repository import tracked

COMPOSE_FILES = [path for path in tracked("*.yml", "*.yaml") if "compose" in path.name]
DOCKERFILES = [path for path in tracked("*Dockerfile*") if path.name.startswith("Dockerfile")]

# hadolint: las versiones de los paquetes las fijan la imagen base y constraints.txt.
HADOLINT_IGNORED = ("DL3008", "DL3013")

every_compose = pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: str(path.relative_to(ROOT)))
every_dockerfile = pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: str(path.relative_to(ROOT)))


# Las reglas que otro Dockerfile enseña: el primero del curso son cuatro líneas.
FOUR_LINES = ROOT / "clase2_docker" / "1-simple_case" / "Dockerfile"


def services(path: Path) -> dict[str, dict[str, Any]]:
    """Servicios que declara un compose; los que incluye se miran en su archivo."""
    return yaml.safe_load(path.read_text(encoding="utf-8")).get("services", {})


def included(path: Path) -> list[Path]:
    return [path.parent / name for name in yaml.safe_load(path.read_text(encoding="utf-8")).get("include", [])]


def health_check(path: Path, service: dict[str, Any]) -> str:
    """La comprobación de un servicio: la de su compose o, si la construye, la de su Dockerfile."""
    if "healthcheck" in service or "build" not in service:
        return str(service.get("healthcheck", ""))
    folder = service["build"] if isinstance(service["build"], str) else service["build"]["context"]
    text = (path.parent / folder / "Dockerfile").read_text(encoding="utf-8")
    return text.partition("\nHEALTHCHECK ")[2].replace("--start-period", "start_period")


def is_pinned(image: str) -> bool:
    """Si una imagen lleva etiqueta (o huella) y no es `latest`."""
    return re.fullmatch(r"[^\s:]+:(?!latest$)[\w.-]+|\S+@sha256:[0-9a-f]{64}", image) is not None


def one_shot(path: Path) -> set[str]:
    """Servicios que terminan: los que otro espera con `service_completed_successfully`."""
    return {
        name
        for service in services(path).values()
        for name, dependency in service.get("depends_on", {}).items()
        if dependency["condition"] == "service_completed_successfully"
    }


def test_there_is_something_to_check():
    assert ROOT / "clase1_buenas_practicas" / "docker-compose.yml" in COMPOSE_FILES
    assert ROOT / "shared" / "docker" / "Dockerfile" in DOCKERFILES


@every_compose
def test_compose_follows_its_specification(path: Path):
    subprocess.run(["check-jsonschema", "--builtin-schema", "vendor.compose-spec", path], check=True)


@every_compose
def test_compose_has_its_own_name_and_leaves_containers_unnamed(path: Path):
    names = [yaml.safe_load(other.read_text(encoding="utf-8"))["name"] for other in COMPOSE_FILES]
    assert names.count(yaml.safe_load(path.read_text(encoding="utf-8"))["name"]) == 1
    assert not [name for name, service in services(path).items() if "container_name" in service]


@every_compose
def test_ports_are_local_and_can_be_changed(path: Path):
    for name, service in services(path).items():
        for port in service.get("ports", []):
            assert re.match(r"127\.0\.0\.1:\$\{\w+:-\d+\}:", str(port)), f"{name}: {port}"


@every_compose
def test_images_are_pinned(path: Path):
    for name, service in services(path).items():
        image = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", service.get("image", "")) or "build:local"
        assert is_pinned(image), f"{name}: {image}"
        assert "image" in service or "build" in service, name


@every_compose
def test_long_lived_services_have_a_health_check(path: Path):
    for name in set(services(path)) - one_shot(path):
        check = health_check(path, services(path)[name])
        assert "start_period" in check, f"{name}: le falta healthcheck con start_period"
        assert "curl" not in check, f"{name}: la imagen oficial puede no traer curl"


@every_compose
def test_dependencies_wait_for_a_condition(path: Path):
    for name, service in services(path).items():
        for other, dependency in service.get("depends_on", {}).items():
            allowed = ("service_healthy", "service_completed_successfully")
            assert dependency["condition"] in allowed, f"{name} → {other}"


@every_compose
def test_variables_have_a_default_and_are_documented(path: Path):
    text = "\n".join(file.read_text(encoding="utf-8") for file in (path, *included(path)))
    used = set(re.findall(r"(?<!\$)\$\{?(\w+)", text))
    with_default = set(re.findall(r"(?<!\$)\$\{(\w+):-[^}]+\}", text))
    documented = set(re.findall(r"(?m)^#? ?([A-Z]\w*)=", (path.parent / ".env.example").read_text(encoding="utf-8")))
    assert used == with_default, f"sin valor por defecto: {sorted(used - with_default)}"
    assert used == documented, f"difieren de .env.example: {sorted(used ^ documented)}"


@every_dockerfile
def test_dockerfile_passes_hadolint(path: Path):
    ignored = [word for rule in HADOLINT_IGNORED for word in ("--ignore", rule)]
    result = subprocess.run(["hadolint", "--no-color", *ignored, path], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@every_dockerfile
def test_dockerfile_follows_the_rules(path: Path):
    text = path.read_text(encoding="utf-8")
    stages = set(re.findall(r"(?im)^FROM \S+ AS (\S+)", text))
    bases = set(re.findall(r"(?im)^FROM (\S+)", text)) - stages
    final_stage = re.split(r"(?im)^FROM ", text)[-1]
    assert bases
    assert all(map(is_pinned, bases)), bases
    assert not re.search(r"(?im)^# *syntax *=", text), "una línea syntax obliga a bajar otra imagen"
    assert not re.search(r"\b(curl|wget)\b", text), "la imagen slim no los trae"
    if path != FOUR_LINES:
        assert re.search(r"(?m)^USER (?!0|root)\S+", final_stage), "el programa no se ejecuta como root"
    assert re.search(r'(?m)^CMD \["', final_stage), "CMD va en forma de lista"
    if "COPY shared shared" in text:
        assert text.index("pip install") < text.index("COPY shared shared"), "las dependencias van antes que el código"


@pytest.mark.parametrize(
    ("image", "pinned"),
    [("python:3.12-slim", True), ("python", False), ("python" + ":latest", False), ("quay.io/minio/minio", False)],
)
def test_pinned_images_are_recognised(image: str, pinned: bool):
    assert is_pinned(image) is pinned
