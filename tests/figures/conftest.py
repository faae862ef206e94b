"""How tests read a figure."""

import pytest


def _words(artists):
    return [artist.get_text() for artist in artists]


@pytest.fixture
def words():
    """Text artists -> their texts."""
    return _words


@pytest.fixture
def caption_of():
    """A figure -> its caption, however its lines were broken."""

    def caption(figure):
        (text,) = [t for t in figure.texts if t.get_gid() == "caption"]
        return " ".join(text.get_text().split())

    return caption


@pytest.fixture
def cut_off():
    """A figure -> what reaches over its edge as it is drawn: texts, and axes with their labels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    def parts(figure):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        width, height = figure.bbox.size
        boxes = {text.get_text(): text.get_window_extent() for text in figure.texts}
        boxes |= {str(axes): axes.get_tightbbox() for axes in figure.axes if axes.axison}
        fits = {
            name: box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
            for name, box in boxes.items()
        }
        return [name for name, inside in fits.items() if not inside]

    return parts
