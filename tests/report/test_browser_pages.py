from browser_pages import accessibility_faults, scrolls_sideways, watched_page


def written(tmp_path, body):
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><html lang='en'><title>t</title><body>{body}</body></html>")
    return path


def test_errors_and_requests_to_elsewhere_are_noted(browser, tmp_path):
    body = "<script>console.error('wrong'); nothing_of_that_name()</script>"
    page, faults = watched_page(
        browser, written(tmp_path, body + "<img alt='' src='http://127.0.0.1:9/x.png'>")
    )
    page.close()
    assert any("wrong" in fault for fault in faults)
    assert any("nothing_of_that_name" in fault for fault in faults)
    assert any("127.0.0.1" in fault for fault in faults)


def test_an_image_without_words_and_a_wide_page_are_found(browser, tmp_path):
    body = "<main><h1>t</h1><img src='data:,'><div style='width: 3000px'>wide</div></main>"
    page, _ = watched_page(browser, written(tmp_path, body))
    assert any(fault.startswith("image-alt") for fault in accessibility_faults(page))
    assert scrolls_sideways(page)
    page.close()


def test_a_good_page_has_no_faults(open_page, tmp_path):
    page = open_page(written(tmp_path, "<main><h1>t</h1><p>good</p></main>"))
    assert accessibility_faults(page) == []
    assert not scrolls_sideways(page)
