import pytest

from farm import Farm


@pytest.fixture
def make_farm(tmp_path):
    """make_farm(...) starts a controller; all of it ends with the test."""
    farms = []

    def make(is_started=True, **options):
        farm = Farm(tmp_path / f"farm{len(farms)}", **options)
        farms.append(farm)
        return farm.start() if is_started else farm

    yield make
    for farm in farms:
        farm.close()


@pytest.fixture
def farm(make_farm):
    return make_farm()
