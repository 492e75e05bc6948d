"""A real Chromium that fetches pages: run in a namespace, says in JSON what became of each.

`python -m tests.lab.chromium_pages SECONDS OPTION... URL...`: all pages at the same time; options
are Chromium's own.  A page is told by its bytes, 0 for one that did not come within `SECONDS`.
"""

import asyncio
import json
import sys

from playwright.async_api import async_playwright

from tests.lab.chromium import ARGUMENTS

FORCED = "--origin-to-force-quic-on=*"
FETCH = """([urls, seconds]) => Promise.all(urls.map(async url => {
  try {
    const page = await fetch(url, {signal: AbortSignal.timeout(seconds * 1000)});
    return (await page.arrayBuffer()).byteLength;
  } catch (error) { return 0; }
}))"""


async def main() -> None:
    """Fetch once and print the sizes."""
    seconds, *words = sys.argv[1:]
    options = [word for word in words if word.startswith("--")]
    arguments = ["--ignore-certificate-errors", *options]
    arguments += [one for one in ARGUMENTS if one != "--disable-quic" or FORCED not in words]
    urls = [word for word in words if not word.startswith("--")]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=arguments
        )
        page = await browser.new_page()
        sizes = await page.evaluate(FETCH, [urls, float(seconds)])
        await browser.close()
    sys.stdout.write(json.dumps(sizes))


if __name__ == "__main__":
    asyncio.run(main())
