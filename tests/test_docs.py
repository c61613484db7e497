"""The README is short, and every link leads somewhere; doctest runs the code of all pages."""

import re

import pytest

from tests.helpers.interpreter import ROOT

PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *ROOT.glob("docs/*.md")]
PAGES += [ROOT / "examples" / "README.md", ROOT / "bench" / "data" / "README.md"]


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_bytes()) <= 8192


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Those into the project; of the rest, that they are addresses."""
    text = page.read_text()
    links = re.findall(r'\]\(([^)\s]+)\)|src="([^"]+)"', text)
    for link in map("".join, links):
        if "://" in link:
            assert link.startswith("https://"), link
        else:
            assert (page.parent / link.partition("#")[0]).exists(), link
