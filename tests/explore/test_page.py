"""The page as a person uses it, in headless Chromium; with -s it prints how long things take."""

import base64
import json
import statistics
import time
from contextlib import contextmanager

import numpy as np
import pytest
from explore_command import command

from minirobust.explore import shipped
from minirobust.explore.laboratory import EPSILONS, Laboratory

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # Playwright leaves pipes open


@pytest.fixture(scope="module")
def address():
    with command() as (_, address):
        yield address


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The whole page in one file."""
    from minirobust.explore.export import write

    path = tmp_path_factory.mktemp("export") / "page.html"
    write(None, path)
    return path


@contextmanager
def opened(browser, address, ready="!!window.interactive", **options):
    """A page in a context of its own; whatever it complains of fails the test."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
    page, complaints = context.new_page(), []
    page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    until(page, ready)
    yield page
    context.close()
    assert complaints == []


def until(page, expression, seconds=30):
    """Wait; Playwright's own function would evaluate a string in the page, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(10)


def text(page, id):
    return page.locator(f"#{id}").text_content()


def slide(page, id, value):
    """Move a slider, and return how long its marker takes and then the digit's panels, in milliseconds."""
    return page.evaluate(
        """async ([id, value]) => {
            const slider = document.getElementById(id), frame = () => new Promise(requestAnimationFrame);
            const rest = () => new Promise(done => setTimeout(done, 4)); // a frame would cost time itself
            const place = () => document.querySelector('#over-temperature .marker')?.getAttribute('x1');
            const [digits, marker, begin] = [waits.digit.length, place(), performance.now()];
            slider.value = value;
            slider.dispatchEvent(new Event('input'));
            let moved = null;
            for (let i = 0; i < 2000 && waits.digit.length === digits; i++) {
                await (moved === null ? frame() : rest());
                if (place() !== marker) moved ??= performance.now() - begin;
            }
            await frame();
            return [moved, performance.now() - begin];
        }""",
        [id, value],
    )


def test_the_page_loads_and_shows_the_librarys_figures(browser, address):
    with opened(browser, f"{address}#t=-6&e=6") as page:
        print("interactive after", round(page.evaluate("interactive")), "ms")
        assert page.evaluate("interactive") < 10_000
        until(page, "waits.points.length > 0")
        laboratory, e = Laboratory(shipped.network(), *shipped.digits()), EPSILONS.index(0.1)
        for name in ("fgsm", "strongest"):
            share = getattr(laboratory, name)(-6, e, lambda: None)[name][0]
            assert text(page, f"left-{name}") == f"{int(100 * share + 0.5)}\u00a0%"
        assert "has learned nothing" in text(page, "claim")
        assert page.locator("#wall .tile").count() == 40
        assert text(page, "read-fgsm").startswith("FGSM: ✓")
        assert text(page, "read-strongest").startswith("Strongest: ✗")
        assert "layer.temperature *= 1 / 64" in text(page, "code")
        assert page.locator("#passes tr").count() > 10


def test_the_sliders_move_everything_at_once(browser, address):
    with opened(browser, address) as page:
        until(page, "waits.points.length > 0")
        took = [slide(page, "temperature", t) for t in (-1, -2, -3, -4, -5, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3)]
        for what, values in zip(("the marker", "a digit's panels"), zip(*took, strict=True), strict=True):
            print(what, "after", round(statistics.median(values)), "ms, at most", round(max(values)))
            assert statistics.median(values) < 1000
        assert text(page, "temperature-value") == "8 T"
        assert "misread" not in text(page, "problem")
        slide(page, "epsilon", 4)
        until(page, "waits.points.length > 1")
        begun, ended = page.evaluate(
            "[waits.first.filter(wait => wait[0] === 'points').at(-1)[1], waits.points.at(-1)]"
        )
        print("the first point of a new curve after", round(begun), "ms, all after", round(ended))
        print("FGSM's whole curve after", round(page.evaluate("waits.fgsm.at(-1)")), "ms")


def test_moving_a_slider_cancels_all_requests_for_its_old_position(browser, address):
    with opened(browser, f"{address}#t=-5&e=3") as page:
        kept = page.evaluate(
            """async () => {
                const asked = [], original = fetch, slider = document.getElementById('temperature');
                window.fetch = (url, options) => {
                    asked.push([JSON.parse(options.body).task, options.signal]);
                    return original(url, options);
                };
                const move = value => { slider.value = value; slider.dispatchEvent(new Event('input')); };
                const has = wanted => asked.some(([task]) => task === wanted);
                move(-4);
                while (!has('points') || !has('wall')) await new Promise(done => setTimeout(done, 4));
                const old = asked.slice();
                move(-3);
                return old.filter(([, signal]) => !signal.aborted).map(([task]) => task);
            }"""
        )
        assert kept == []


def test_hidden_tab_requests_no_curves_until_it_is_visible(browser, address):
    with opened(browser, f"{address}#t=-5&e=3") as page:
        ended, asked = [], []
        page.on("requestfailed", lambda request: ended.append(request.post_data))
        page.on("request", lambda request: asked.append(request.post_data))
        for hidden, requests in (("true", ended), ("false", asked)):
            page.evaluate(
                f"Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }});"
                "document.dispatchEvent(new Event('visibilitychange'))"
            )
            end = time.monotonic() + 10
            while not any('"points"' in (request or "") for request in requests):
                assert time.monotonic() < end
                page.wait_for_timeout(10)
        until(page, "waits.points.length > 0")


def test_a_link_reproduces_the_view(browser, address):
    with opened(browser, f"{address}#t=-3&e=2&digit=7") as page:
        assert text(page, "temperature-value") == "T/8"
        assert text(page, "epsilon-value") == "0.02"
        assert text(page, "read").startswith("A 7")
        slide(page, "temperature", -4)
        assert page.url.endswith("#t=-4&e=2&digit=7")
    with opened(browser, f"{address}#t=99&e=x&digit=<b>") as page:
        assert text(page, "temperature-value") == "8 T"
        assert text(page, "epsilon-value") == "0.1"


def test_keyboard_reaches_every_control_and_controls_have_labels(browser, address):
    with opened(browser, address) as page:
        page.locator("#temperature").focus()
        page.keyboard.press("ArrowLeft")
        assert page.locator("#temperature").get_attribute("aria-valuetext") == "trained temperature divided by 2"
        until(page, "waits.wall.length > 0")
        assert page.locator("#wall [tabindex='0']").count() == 1
        page.locator("#wall [tabindex='0']").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        assert page.evaluate("document.activeElement.id") == "strongest-1"
        assert "after the strongest attack" in page.evaluate("document.activeElement.getAttribute('aria-label')")
        assert page.locator("#wall [tabindex='0']").count() == 1
        until(page, "waits.points.length > 0 && document.querySelector('#over-epsilon').getAttribute('aria-label')")
        nameless = page.evaluate(
            """[...document.querySelectorAll('svg, canvas[role], input, button, [tabindex]')].filter(node =>
                !node.hidden && !node.getAttribute('aria-label') && !node.labels?.length && !node.textContent
            ).map(node => node.id)"""
        )
        assert nameless == []


def test_a_drawing_is_read_and_attacked(browser, address):
    with opened(browser, f"{address}#t=-6&e=6") as page:
        draw_seven(page)
        until(page, "document.querySelector('#read').textContent === 'Read as 7'")
        assert "FGSM: " in text(page, "read-fgsm")
        assert page.locator("#drawing-note").is_visible()


def draw_seven(page):
    page.locator("#draw").click()
    box = page.locator("#image").bounding_box()
    x, y = box["x"], box["y"]
    page.mouse.move(x + 60, y + 60)
    page.mouse.down()
    page.mouse.move(x + 180, y + 60, steps=8)
    page.mouse.move(x + 100, y + 200, steps=8)
    page.mouse.up()


def test_drawing_is_processed_like_a_digit_of_mnist(browser, address):
    """Test digits are enlarged tenfold and moved; what comes back is nearly the digit."""
    x, y = shipped.digits()
    images = np.round(x[:60] * 255).astype("uint8").reshape(60, 784)
    with opened(browser, address) as page:
        back = page.evaluate(
            """async images => {
                const { asMnist, paint, grey } = await import('./digits.js');
                return images.map(values => {
                    const canvas = n => Object.assign(document.createElement('canvas'), { width: n, height: n });
                    const [small, large] = [canvas(28), canvas(280)];
                    paint(small, values, grey);
                    const context = large.getContext('2d');
                    context.imageSmoothingEnabled = false;
                    context.fillRect(0, 0, 280, 280);
                    context.drawImage(small, 13, -8, 280, 280);
                    return [...asMnist(large)];
                });
            }""",
            images.tolist(),
        )
    made = np.array(back, dtype="float32").reshape(-1, 28, 28, 1) / 255
    print("mean difference", np.abs(made - x[:60]).mean())
    assert np.abs(made - x[:60]).mean() < 0.03
    assert (shipped.network().predict(made) == y[:60]).mean() > 0.9


def test_play_button_turns_the_temperature_down(browser, address):
    with opened(browser, address) as page:
        page.locator("#play").click()
        until(page, "document.querySelector('#temperature').value === '-6'", 20)
        until(page, "document.querySelector('#play').textContent.startsWith('▶')", 5)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("file", ["#t=-6", "steps.html#9"])
def test_the_page_fits_and_is_readable(browser, address, file, width, scheme, tmp_path):
    ready = "!!window.interactive" if file.startswith("#") else "document.querySelectorAll('#numbers td').length > 0"
    options = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme, "reduced_motion": "reduce"}
    with opened(browser, address + file, ready, **options) as page:
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        paper, ink = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
        assert contrast(paper, ink) > 7
        assert (luminance(paper) < luminance(ink)) == (scheme == "dark")
        bars = "[...document.querySelectorAll('.bars b')]"
        assert page.evaluate(f"{bars}.every(bar => getComputedStyle(bar).transitionDuration === '0s')")
        page.set_viewport_size({"width": 1670 - width, "height": 844})
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth") <= 1670 - width
        page.screenshot(path=tmp_path / "page.png", full_page=True)


def luminance(colour):
    red, green, blue = (int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3])
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_a_second_tab_does_not_stall_the_first(browser):
    with command() as (_, address), opened(browser, f"{address}#e=1") as first:
        until(first, "waits.wall.length > 0")
        with opened(browser, f"{address}#t=-6&e=2") as second:
            slide(second, "epsilon", 3)
            first.bring_to_front()
            took = [slide(first, "temperature", t)[1] for t in (-1, -2, -3, -4, -5, -6)]
            print("a digit's panels beside a second tab's curves after", round(statistics.median(took)), "ms")
            assert statistics.median(took) < 2000
            assert text(second, "epsilon-value") == "0.03"


def test_a_wrong_token_shows_nothing(browser, address):
    page = browser.new_page()
    answer = page.goto(address.rsplit("/", 2)[0] + "/wrong/")
    assert answer.status == 404
    page.close()


def test_page_shows_a_network_while_it_trains(browser):
    with command() as (_, address), opened(browser, address) as page:
        page.locator("#train").click()
        until(page, "document.querySelector('#network').textContent.startsWith('Epoch')")
        until(page, "document.querySelector('#network').textContent.startsWith('Epoch 30 of 30')", 60)
        assert "mr.fit" in text(page, "code")
        page.locator("#train").click()
        until(page, "document.querySelector('#network').textContent.includes('MNIST')")


def test_page_reports_a_killed_server(browser):
    with command() as (process, address):
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        until(page, "!!window.interactive")
        process.kill()
        process.wait()
        page.evaluate("document.querySelector('#temperature').value = -5")
        page.evaluate("document.querySelector('#temperature').dispatchEvent(new Event('input'))")
        until(page, "document.querySelector('#problem').textContent.includes('still running')")
        context.close()


def test_every_step_of_backpropagation_can_be_reached(browser, address):
    with opened(browser, f"{address}steps.html", "document.querySelectorAll('#numbers td').length > 0") as page:
        seen = []
        while page.locator("#forward").is_enabled():
            seen.append(text(page, "title"))
            page.locator("#forward").click()
        assert len(seen) == 11
        assert text(page, "title").startswith("Gradient at the input")
        assert "grad_y @ self.weight.value.T" in text(page, "sources")
        page.locator("#back").click()
        assert text(page, "title") == seen[-1]
        assert "∂b₂" not in text(page, "picture")


# The exported page


def test_the_exported_page_is_one_small_file_that_loads_nothing(exported):
    page = exported.read_text()
    assert len(page.encode()) < 2_000_000
    assert "connect-src" not in page
    for foreign in ("http://", "https://", 'src="', "@import", "url("):
        assert foreign not in page.replace("http://www.w3.org/2000/svg", ""), foreign


def test_the_exported_page_shows_the_same_offline(browser, exported):
    laboratory = Laboratory(shipped.network(), *shipped.digits())
    with opened(browser, f"file://{exported}#t=-4&e=6&digit=3", offline=True) as page:
        until(page, "document.querySelectorAll('#over-temperature .certificate.point').length === 10")
        share = laboratory.fgsm(-4, 6, lambda: None)["fgsm"][0]
        assert text(page, "left-fgsm") == f"{int(100 * share + 0.5)}\u00a0%"
        wall = laboratory.wall(-4, 6, lambda: None)
        for name in ("fgsm", "strongest"):
            read = [int(tile.split()[-1]) for tile in page.locator(f"[id^='{name}-'].tile").all_text_contents()]
            assert read == wall[name]["read"]
        assert not page.locator("#train").is_visible()
        slide(page, "temperature", -6)
        assert text(page, "temperature-value") == "T/64"


def test_drawing_on_the_exported_page_gets_the_librarys_prediction(browser, exported):
    network = shipped.network()
    network.layers[2].temperature = 1 / 8
    with opened(browser, f"file://{exported}#t=-3&e=6", offline=True) as page:
        page.evaluate(
            """() => {
                const encode = btoa;
                window.sent = [];
                window.btoa = text => {
                    if (text.length === 784) window.sent.push(encode(text));
                    return encode(text);
                };
            }"""
        )
        draw_seven(page)
        until(page, "document.querySelector('#read').textContent === 'Read as 7'")
        pixels = np.frombuffer(base64.b64decode(page.evaluate("sent[0]")), "uint8")
        bars = page.locator("#bars-image span:last-child").all_text_contents()
        fgsm = page.locator("#bars-fgsm span:last-child").all_text_contents()
    import minirobust as mr

    x = pixels.reshape(1, 28, 28, 1).astype("float32") / 255
    made = mr.attacks.fgsm(network, x, network.predict(x), 0.1)
    for shown, images in ((bars, x), (fgsm, made.images)):
        assert [percentage(bar) for bar in shown] == pytest.approx(100 * network.predict_proba(images)[0], abs=0.11)


def percentage(bar):
    return 100.0 if bar.startswith(">") else float(bar.split()[0])


def test_data_in_the_exported_page_are_valid_json(exported):
    page = exported.read_text()
    stored = json.loads(page.split('id="stored">')[1].split("</script>")[0])
    assert set(stored) == {"answers", "signs", "gradients", "deltas", "probabilities", "weights"}
