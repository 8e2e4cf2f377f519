"""Text that a demuxer takes for a list of other media, under the names of recordings."""

from __future__ import annotations

from collections.abc import Callable

from hostile.case import Case, Site, cases

REFUSED = ("unreadable", "empty")


def text(content: str) -> Callable[[Site], None]:
    """A file of this text, with the secret's path and the server's address in their places."""

    def make(site: Site) -> None:
        filled = content.replace("{secret}", str(site.secret)).replace("{address}", site.address)
        site.path.write_text(filled.replace("{near}", f"../{site.secret.parent.name}/secret.wav"))

    return make


HLS = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{0}\n#EXT-X-ENDLIST\n"
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT9S"><Period><AdaptationSet mimeType="audio/mp4">'
    '<Representation id="a" bandwidth="1"><BaseURL>{address}/a.mp4</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>"
)

PLAYLISTS: list[Case] = cases(
    "playlists",
    REFUSED,
    {
        "hls of a local file.wav": text(HLS.format("{secret}")),
        "hls of a near file.m4a": text(HLS.format("{near}")),
        "hls of the network.mp3": text(HLS.format("{address}/a.ts")),
        "hls with a key.wav": text(
            '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{address}/key"\n' + HLS.format("{secret}")[8:]
        ),
        "hls of a playlist.ogg": text(
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{address}/child.m3u8\n"
        ),
        "hls with a map.opus": text(
            '#EXTM3U\n#EXT-X-MAP:URI="{secret}"\n' + HLS.format("{secret}")[8:]
        ),
        "ffconcat near.wav": text("ffconcat version 1.0\nfile {near}\n"),
        "ffconcat absolute.flac": text("ffconcat version 1.0\nfile '{secret}'\n"),
        "ffconcat of the network.mp3": text("ffconcat version 1.0\nfile {address}/a.mp3\n"),
        "concat script.wav": text("file '{near}'\nduration 5\n"),
        "sdp.m4a": text(SDP),
        "dash.m4a": text(DASH),
    },
)

VIDEO_PLAYLISTS: list[Case] = cases(
    "playlists",
    REFUSED,
    {
        "hls of a local file.mp4": text(HLS.format("{secret}")),
        "hls of the network.mkv": text(HLS.format("{address}/a.ts")),
        "ffconcat near.mov": text("ffconcat version 1.0\nfile {near}\n"),
        "sdp.mp4": text(SDP),
        "dash.webm": text(DASH),
    },
    ".mp4",
)
