from tests.e2e.test_console_browser import *
def test_dbg(context, address, world):
    page = context.new_page()
    page.on("console", lambda m: print("CONSOLE", m.text))
    page.on("pageerror", lambda m: print("ERR", m))
    enter(page, address, world.admin)
    page.keyboard.press("t")
    print(page.evaluate("[document.documentElement.outerHTML.slice(0,120), document.cookie, document.activeElement.tagName, document.readyState, getComputedStyle(document.body).backgroundColor]"))
    page.wait_for_timeout(300)
    print(page.evaluate("[getComputedStyle(document.body).backgroundColor, document.cookie]"))
