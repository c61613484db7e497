"""A finished report, which the tests of this directory read."""

import pytest

from bench.report import page
from tests.helpers import reports


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    directory = tmp_path_factory.mktemp("report")
    page.write(reports.run(directory), directory)
    return directory
