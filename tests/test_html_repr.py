"""What notebooks show: well-formed, one drawing a pattern, and never millions of them."""

from xml.etree import ElementTree

import numpy as np

import fastpatch as fp

SVG = "{http://www.w3.org/2000/svg}svg"


def drawings(value):
    return ElementTree.fromstring(f"<body>{value._repr_html_()}</body>").iter(SVG)


def test_a_dictionary_is_drawn_pattern_by_pattern():
    dictionary = fp.PatchDictionary.random(n_random=3, uniform_mass=0.5)
    shown = list(drawings(dictionary))
    assert len(shown) == len(dictionary) == 8
    # The most probable first: all +1, then all -1, of which nothing but the frame is seen.
    filled = [sum("fill-opacity" in rect.attrib for rect in one) for one in shown]
    assert filled[:2] == [25, 0]
    assert filled[2:] == [int((pattern > 0).sum()) for pattern in dictionary.patterns[:6]]


def test_a_large_dictionary_shows_its_most_probable_patterns():
    images = np.sign(np.random.default_rng(0).normal(size=(3, 16, 16)))
    for dictionary in (fp.PatchDictionary.from_images(images), fp.PatchDictionary.random(n_random=100)):
        assert len(dictionary) > 24
        assert len(list(drawings(dictionary))) == 24
        assert "of the prior" in dictionary._repr_html_()


def test_a_model_says_what_is_predicted():
    model = fp.PatchModel(fp.PatchDictionary.random(n_random=0, uniform_mass=1.0))
    assert f"{model.critical_time:.4g}" in model._repr_html_()
    assert len(list(drawings(model))) == 2
