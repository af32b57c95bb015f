"""What a seller is told beside each machine-readable reason, in one place."""

from schemas.suggestion import ReuploadReason

_ENGLISH: dict[ReuploadReason, str] = {
    ReuploadReason.BLURRED: (
        "This photo is blurred. Hold the camera still, let it focus, and take it again."
    ),
    ReuploadReason.TOO_DARK: (
        "This photo is too dark. Take it by a window or switch on a lamp, without the light "
        "behind the item."
    ),
    ReuploadReason.TOO_BRIGHT: (
        "This photo is too bright to see details. Turn off the flash or move the item out of "
        "direct sun."
    ),
    ReuploadReason.LOW_RESOLUTION: (
        "This photo is too small. Upload the original from your camera rather than a thumbnail "
        "or a screenshot."
    ),
    ReuploadReason.UNREADABLE: (
        "This photo could not be opened. Save it as JPEG or PNG and upload it once more."
    ),
    ReuploadReason.UNAVAILABLE: ("This photo could not be fetched. Please upload it again."),
    ReuploadReason.INADEQUATE_INFORMATION: (
        "The photos do not show enough to suggest a price. Show the whole item from the front, "
        "then its brand label and any marks or flaws close up."
    ),
}


def hint_for(code: ReuploadReason) -> str:
    """Return the sentence for sellers that goes with a reason."""
    return _ENGLISH[code]
