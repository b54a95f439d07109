"""The application: addresses, statuses, sentences, headers, and the page without a script."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import threading
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from reports.pages import Page
from web_fakes import PLACES, FakePredictor, app_of
from web_pictures import ACCEPTED, REFUSED, encoded, jpeg, png, with_exif

from handbench.web import pages
from handbench.web.answers import read_box
from handbench.web.assets import assets, samples
from handbench.web.problems import CODES, Problem

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return app_of(FakePredictor(), FakePredictor("second", is_right=False)).test_client()


def file(data: bytes, name: str = "hand.jpg") -> dict[str, Any]:
    return {"image": (io.BytesIO(data), name)}


def form(data: bytes, **fields: str) -> dict[str, Any]:
    """The same written by hand: Flask's client would put a large file on disk."""
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="hand.jpg"\r\n\r\n'
    return {
        "data": b"".join(parts) + head + data + b"\r\n--x--\r\n",
        "content_type": "multipart/form-data; boundary=x",
    }


def page_of(response: Any) -> Page:
    assert response.mimetype == "text/html"
    return Page(response.get_data(as_text=True))


# --- answers ------------------------------------------------------------------------------------


def test_a_form_and_a_raw_body_give_the_same_answer(client: FlaskClient) -> None:
    form = client.post("/api/v1/predict", data=file(jpeg()))
    raw = client.post("/api/v1/predict", data=jpeg(), content_type="image/jpeg")
    plain = client.post("/api/v1/predict", data=jpeg(), content_type="application/octet-stream")
    untold = client.post("/api/v1/predict", data=jpeg())
    documents = [response.get_json() for response in (form, raw, plain, untold)]
    assert {response.status_code for response in (form, raw, plain, untold)} == {200}
    for document in documents:
        assert document.pop("request_id")
        assert document.pop("ms").keys() == {"decode", "model"}
    assert documents[0] == documents[1] == documents[2] == documents[3]
    answer = documents[0]
    assert answer["model"] == {"id": "fake", "name": "fake"}
    assert answer["image"] == {
        "width": 320,
        "height": 240,
        "format": "jpeg",
        "turned_upright": False,
    }
    assert answer["box"] is None
    assert len(answer["joint_names"]) == 21
    assert len(answer["bones"]) == 20


def test_points_are_in_pixels_of_the_upright_picture(client: FlaskClient) -> None:
    # Orientation 6 is stored as 320 × 240 and shown as 240 × 320: the square about it has side 320.
    answer = client.post("/api/v1/predict", data=file(with_exif(6))).get_json()
    assert (answer["image"]["width"], answer["image"]["height"]) == (240, 320)
    assert answer["image"]["turned_upright"] is True
    expected = PLACES * 320 - 0.5 - (40, 0)
    np.testing.assert_allclose(answer["hand"]["keypoints"], expected, atol=0.011)


def test_a_box_is_seen_a_quarter_larger(client: FlaskClient) -> None:
    response = client.post("/api/v1/predict?box=100,60,80,40", data=jpeg())
    answer = response.get_json()
    assert answer["box"] == [100, 60, 80, 40]
    expected = PLACES * 100 + (140 - 50, 80 - 50) - 0.5
    np.testing.assert_allclose(answer["hand"]["keypoints"], expected + 0.5, atol=0.51)
    form = client.post("/api/v1/predict", data={**file(jpeg()), "box": "100,60,80,40"})
    assert form.get_json()["hand"] == answer["hand"]


def test_a_model_that_finds_nothing_says_so() -> None:
    response = app_of(FakePredictor(finds=False)).test_client().post("/api/v1/predict", data=jpeg())
    assert response.status_code == 200
    assert response.get_json()["hand"] is None


@pytest.mark.parametrize(("says", "told"), [(None, None), (True, True), (np.False_, False)])
def test_the_side_is_told_only_if_the_model_knows_it(says: Any, told: bool | None) -> None:
    client = app_of(FakePredictor(is_right=says)).test_client()
    answer = client.post("/api/v1/predict", data=jpeg()).get_json()
    assert answer["hand"]["is_right"] is told
    words = page_of(client.post("/", data=file(jpeg()))).text
    expected = {None: "Not given by this model", True: "Right", False: "Left"}[told]
    assert expected in words


def test_nan_is_null() -> None:
    client = app_of(FakePredictor(score=float("nan"))).test_client()
    hand = client.post("/api/v1/predict", data=jpeg()).get_json()["hand"]
    assert hand["scores"] is None
    assert hand["score"] is None
    page_of(client.post("/", data=file(jpeg())))


def test_the_model_is_chosen_by_name(client: FlaskClient) -> None:
    listed = client.get("/api/v1/models").get_json()
    assert [model["id"] for model in listed["models"]] == ["fake", "second"]
    assert listed["default"] == "fake"
    by_address = client.post("/api/v1/predict?model=second", data=jpeg()).get_json()
    by_form = client.post("/api/v1/predict", data={**file(jpeg()), "model": "second"}).get_json()
    assert by_address["model"]["id"] == by_form["model"]["id"] == "second"
    refused = client.post(f"/api/v1/predict?model={HOSTILE}", data=jpeg())
    assert (refused.status_code, refused.get_json()["code"]) == (404, "unknown_model")
    assert "Expected a model of fake, second" in refused.get_json()["detail"]


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ACCEPTED)
def test_ordinary_pictures_are_answered(client: FlaskClient, name: str) -> None:
    response = client.post("/api/v1/predict", data=file(ACCEPTED[name], "wrong-name.txt"))
    assert response.status_code == 200, response.get_json()


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("way", ["form", "raw", "page"])
def test_bad_input_gets_its_status_and_a_sentence(client: FlaskClient, name: str, way: str) -> None:
    data, code = REFUSED[name]
    address = "/" if way == "page" else "/api/v1/predict"
    if way == "raw":
        response = client.post(address, data=data, content_type="image/png")
    else:
        response = client.post(address, **form(data), headers={"Accept": "text/html"})
    assert response.status_code == CODES[code], response.get_data(as_text=True)
    assert response.headers["X-Request-ID"]
    if way == "page":
        assert "Expected a" in page_of(response).text
        return
    assert response.mimetype == "application/problem+json"
    document = response.get_json()
    assert document["code"] == code
    assert document["status"] == response.status_code
    assert document["detail"].startswith("Expected ")
    assert document["request_id"] == response.headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b"{}", "application/json", 415, "found application/json"),
        (b"image=1", "application/x-www-form-urlencoded", 415, "multipart/form-data"),
        (b"hello", "text/plain", 415, "found text/plain"),
        (b"hello", "image/svg+xml", 415, "another kind of file"),
        (b"hello", "multipart/form-data", 400, "broken or cut off"),
        (b"hello", "multipart/form-data; boundary=x", 400, "broken or cut off"),
        (b"--x\r\n\r\n", "multipart/form-data; boundary=x", 400, "broken or cut off"),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 400, "a file called image"),
        (b"", "multipart/form-data; boundary=x", 400, "."),
    ],
)
def test_a_body_that_is_no_picture(
    client: FlaskClient, body: bytes, kind: str, status: int, words: str
) -> None:
    response = client.post("/api/v1/predict", data=body, content_type=kind)
    assert response.status_code == status
    assert words in response.get_json()["detail"]


def test_a_form_that_breaks_off_in_the_picture(client: FlaskClient) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    response = client.post(
        "/api/v1/predict",
        data=head + jpeg()[:500],
        content_type="multipart/form-data; boundary=x",
    )
    assert (response.status_code, response.get_json()["code"]) == (400, "bad_form")


def test_a_form_without_the_picture(client: FlaskClient) -> None:
    for form in ({"picture": (io.BytesIO(jpeg()), "a.jpg")}, {"image": "text"}):
        response = client.post("/api/v1/predict", data=form, content_type="multipart/form-data")
        assert (response.status_code, response.get_json()["code"]) == (400, "bad_form")


def test_a_form_of_a_hundred_parts(client: FlaskClient) -> None:
    form = {**{f"x{k}": "1" for k in range(100)}, **file(jpeg())}
    response = client.post("/api/v1/predict", data=form)
    assert (response.status_code, response.get_json()["code"]) == (400, "bad_form")


def test_a_body_that_is_larger_than_any_picture(client: FlaskClient) -> None:
    for kind in ("image/jpeg", "multipart/form-data; boundary=x"):
        response = client.post("/api/v1/predict", data=bytes(2_000_000), content_type=kind)
        assert (response.status_code, response.get_json()["code"]) == (413, "too_large")
        assert "at most 1 MB, found 2 MB" in response.get_json()["detail"]


@pytest.mark.parametrize(
    "box",
    ["1,2,3", "a,b,c,d", "nan,0,10,10", "0,0,inf,1", "0,0,15,100", "500,0,50,50", "0,0,-50,-50",
     "1e400,0,1,1", "0,0,0,0", "10;10;100;100"],
)  # fmt: skip
def test_a_box_that_is_none(client: FlaskClient, box: str) -> None:
    response = client.post("/api/v1/predict", data={**file(jpeg()), "box": box})
    assert (response.status_code, response.get_json()["code"]) == (400, "bad_box")


def test_a_box_reaching_out_of_the_picture_is_cut() -> None:
    fake = FakePredictor()
    client = app_of(fake).test_client()
    answer = client.post("/api/v1/predict?box=-1e9,-1e9,3e9,3e9", data=jpeg()).get_json()
    whole = client.post("/api/v1/predict?box=-0.5,-0.5,320,240", data=jpeg()).get_json()
    assert answer["hand"] == whole["hand"]


def test_reading_a_box() -> None:
    assert read_box(None) is read_box(" ") is None
    assert read_box("1,2.5, 3 ,4e1") == (1, 2.5, 3, 40)
    with pytest.raises(Problem, match="four numbers"):
        read_box("1,2,3,4,5")


def test_addresses_that_do_not_exist(client: FlaskClient) -> None:
    lost = client.get("/api/v1/nothing")
    assert (lost.status_code, lost.get_json()["code"]) == (404, "not_found")
    page = client.get(f"/{HOSTILE}", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert HOSTILE in page_of(page).text, "it is shown as text, not as a tag"
    wrong = client.get("/api/v1/predict")
    assert (wrong.status_code, wrong.get_json()["code"]) == (405, "method_not_allowed")
    assert "POST" in wrong.headers["Allow"]
    assert client.get("/static/../app.py").status_code == 404
    assert client.get("/static/%2e%2e/app.py").status_code == 404


def test_an_error_of_ours_stays_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    client = app_of(FakePredictor(error=RuntimeError("secret /home/me"))).test_client()
    for address in ("/api/v1/predict", "/"):
        caplog.clear()
        response = client.post(address, data=file(jpeg()), headers={"X-Request-ID": "abc-1"})
        assert response.status_code == 500
        text = response.get_data(as_text=True)
        assert "abc-1" in text
        assert "secret" not in text
        assert "Traceback" not in text
        assert "secret /home/me" in caplog.text
        assert "abc-1" in caplog.text


def test_a_slow_model_is_not_waited_for() -> None:
    client = app_of(FakePredictor(seconds=0.5), timeout_s=0.05).test_client()
    response = client.post("/api/v1/predict", data=jpeg())
    assert (response.status_code, response.get_json()["code"]) == (503, "too_slow")
    assert int(response.headers["Retry-After"]) >= 1


def test_one_address_is_slowed_down() -> None:
    client = app_of(FakePredictor(), per_minute=2).test_client()
    statuses = [client.post("/api/v1/predict", data=jpeg()).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    last = client.post("/api/v1/predict", data=jpeg())
    assert last.get_json()["code"] == "rate_limited"
    assert int(last.headers["Retry-After"]) >= 1
    elsewhere = client.post(
        "/api/v1/predict", data=jpeg(), environ_base={"REMOTE_ADDR": "127.0.0.9"}
    )
    assert elsewhere.status_code == 200
    assert client.get("/").status_code == 200, "pages are not counted"


# --- what every answer has in common ------------------------------------------------------------


def test_every_answer_has_the_headers(client: FlaskClient) -> None:
    for address in ("/", "/static/style.css", "/api/v1/models", "/nothing", "/healthz", "/metrics"):
        headers = client.get(address).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "Set-Cookie" not in headers
        assert "Access-Control-Allow-Origin" not in headers
        kept = "immutable" if address.startswith("/static") else "no-store"
        assert kept in headers["Cache-Control"]


@pytest.mark.parametrize("given", ["abc-1.2_Z", "x" * 64])
def test_a_request_id_is_kept(client: FlaskClient, given: str) -> None:
    response = client.post("/api/v1/predict", data=jpeg(), headers={"X-Request-ID": given})
    assert response.headers["X-Request-ID"] == response.get_json()["request_id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "<script>", "ä"])
def test_a_strange_request_id_is_replaced(client: FlaskClient, given: str) -> None:
    found = client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{16}", found)


def test_the_log_names_requests_and_nobody(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "handbench.web")
    client.post(
        "/api/v1/predict?box=1,1,100,100",
        data=file(jpeg(), "my-holiday.jpg"),
        headers={"X-Request-ID": "log-1"},
    )
    client.get("/a\nb\x1b[2J")
    lines = [record.getMessage() for record in caplog.records]
    assert re.fullmatch(r"log-1 POST /api/v1/predict 200 \d+ ms -", lines[0])
    assert "holiday" not in caplog.text
    assert "127.0.0.1" not in caplog.text
    assert "\n" not in lines[1]
    assert "\x1b" not in lines[1]
    assert lines[1].endswith("not_found")


def test_metrics_count(client: FlaskClient) -> None:
    own = app_of(FakePredictor()).test_client()
    own.post("/api/v1/predict", data=jpeg())
    own.post("/api/v1/predict", data=b"GIF89a")
    response = own.get("/metrics")
    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    lines = response.get_data(as_text=True).splitlines()
    assert 'handbench_requests_total{endpoint="predict",status="200"} 1' in lines
    assert 'handbench_requests_total{endpoint="predict",status="415"} 1' in lines
    assert 'handbench_problems_total{code="unsupported_picture"} 1' in lines
    assert 'handbench_pictures_total{hand="found"} 1' in lines
    assert "handbench_request_seconds_count 2" in lines
    assert 'handbench_request_seconds_bucket{le="+Inf"} 2' in lines
    assert "handbench_queue_waiting 0" in lines
    line = re.compile(
        r"# (HELP|TYPE) \w+ .+|[a-z_]+(\{\w+=\"[^\"]*\"(,\w+=\"[^\"]*\")*\})? -?[\d.e+]+"
    )
    assert all(line.fullmatch(text) for text in lines)


def test_health(client: FlaskClient) -> None:
    assert client.get("/healthz").get_json()["status"] == "ok"
    empty = app_of().test_client().get("/healthz")
    assert (empty.status_code, empty.get_json()["status"]) == (503, "no model")


# --- the page -----------------------------------------------------------------------------------


def test_without_a_model_the_page_says_how_to_make_one() -> None:
    client = app_of().test_client()
    page = page_of(client.get("/"))
    assert "handbench quickstart" in page.text
    assert "handbench train baseline" in page.text
    assert not page.all("form")
    refused = client.post("/api/v1/predict", data=jpeg())
    assert (refused.status_code, refused.get_json()["code"]) == (503, "no_model")
    assert "handbench train baseline" in refused.get_json()["detail"]
    assert client.get("/api/v1/models").get_json() == {"models": [], "default": None}


def test_the_page_asks_for_nothing_from_elsewhere(client: FlaskClient) -> None:
    page = page_of(client.get("/"))
    addresses = [tag[key] for _, tag in page.tags for key in ("src", "href") if tag.get(key)]
    asked = [a for a in addresses if not a.startswith("#")]
    assert len(asked) > 8
    for address in asked:
        assert client.get(f"/{address}").status_code == 200, address
    text = client.get("/").get_data(as_text=True)
    assert "<script>" not in text, "no script in the page"
    assert "style=" not in text
    assert not re.search(r"\son\w+=", text)
    for name, asset in assets().items():
        outside = re.findall(rb"https?://[^\s\"')]+", asset.data)
        assert set(outside) <= {b"http://www.w3.org/2000/svg"}, name


def test_the_page_works_without_a_script(client: FlaskClient) -> None:
    response = client.post("/", data={**file(png()), "model": "second", "box": "20,20,200,200"})
    assert response.status_code == 200
    page = page_of(response)
    assert "21 points found" in page.text
    assert "0.83" in page.text
    assert "Left" in page.text
    links = {tag["id"]: tag for tag in page.all("a") if "download" in tag}
    document = json.loads(base64.b64decode(links["save-json"]["href"].split(",")[1]))
    assert document["model"]["id"] == "second"
    assert document["box"] == [20, 20, 200, 200]
    drawn = Image.open(io.BytesIO(base64.b64decode(links["save-picture"]["href"].split(",")[1])))
    assert drawn.size == (320, 240)
    difference = np.abs(np.asarray(drawn, int) - np.asarray(Image.open(io.BytesIO(png())), int))
    assert (difference.max(axis=2) > 60).sum() > 300, "nothing was drawn"
    (chosen,) = (tag for tag in page.all("option") if "selected" in tag)
    assert chosen["value"] == "second"
    (box,) = (tag for tag in page.all("input") if tag.get("name") == "box")
    assert box["value"] == "20,20,200,200"


def test_without_a_script_a_large_picture_is_drawn_smaller_by_a_worker(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A skeleton over 24 million pixels, at four times the size, would take 1.5 GB a visitor.
    workers: list[str] = []

    def drawn(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
        workers.append(threading.current_thread().name)
        assert picture.shape == (400, 1600, 3)
        spots.append(points)
        return picture

    spots: list[np.ndarray] = []
    monkeypatch.setattr(pages, "draw_hand", drawn)
    picture = encoded(Image.new("RGB", (4000, 1000), "white"), "PNG")
    response = client.post("/", data=file(picture))
    assert response.status_code == 200
    assert [name.startswith("hand-") for name in workers] == [True]
    page = page_of(response)
    links = {tag["id"]: tag for tag in page.all("a") if "download" in tag}
    document = json.loads(base64.b64decode(links["save-json"]["href"].split(",")[1]))
    said = np.array(document["hand"]["keypoints"])
    np.testing.assert_allclose(spots[0], (said + 0.5) * 0.4 - 0.5, atol=0.01)


def test_a_sample_needs_no_file(client: FlaskClient) -> None:
    assert len(samples()) >= 4
    for name in samples():
        response = client.post("/", data={"sample": name, **file(b"", "")})
        assert response.status_code == 200
        assert "21 points found" in page_of(response).text
    assert client.post("/", data={"sample": "../app"}).status_code == 400
    assert client.post("/", data={}).status_code == 400


def test_samples_are_small_pictures_of_ours() -> None:
    for sample in samples().values():
        with Image.open(io.BytesIO(sample.data)) as picture:
            assert picture.format == "JPEG"
            assert min(picture.size) >= 224
            assert not picture.getexif()
    assert sum(len(sample.data) for sample in samples().values()) < 120_000


def test_a_hostile_model_is_shown_as_text() -> None:
    fake = FakePredictor(HOSTILE)
    fake.describe = lambda: {"name": HOSTILE, "note": HOSTILE, "training_data": [HOSTILE]}  # type: ignore[method-assign]
    client = app_of(fake, FakePredictor(HOSTILE)).test_client()
    listed = client.get("/api/v1/models").get_json()
    names = [model["id"] for model in listed["models"]]
    assert len(set(names)) == 2
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in names)
    page = page_of(client.get("/"))
    assert HOSTILE in page.text
    assert all("onerror" not in tag for _, tag in page.tags)
    wrong = client.post("/", **form(jpeg(), box=HOSTILE), headers={"Accept": "text/html"})
    assert wrong.status_code == 400
    assert all("onerror" not in tag for _, tag in page_of(wrong).tags)
