"""Tags in XMP files beside pictures, and with ExifTool in the pictures: merged, never overwritten, undone.

    packet      an XMP packet as a tree that knows its places, and edits there
    lists       dc:subject, lr:hierarchicalSubject, digiKam:TagsList in their many forms
    provenance  what is ours, in our own namespace
    standing    whose an entry is
    merging     a packet and tags -> the packet with them
    places      which file is a picture's sidecar
    changes     what is to be written, and its diff
    files       read and replaced whole
    recording   what the journal says of a change
    writing     changes made in batches, and taken back
    planning    Sidecars, undo, read_tags
    embedded    Embedded: the same in the picture itself, by ExifTool

A person's tags are never changed. A tag of ours that a person takes out of dc:subject is never given again.
Decides no tag.
"""

from clipsearch.tagging.sidecars.changes import Change
from clipsearch.tagging.sidecars.embedded import Embedded, undo_embedded
from clipsearch.tagging.sidecars.planning import PictureTags, Sidecars, read_tags, undo
from clipsearch.tagging.sidecars.writing import Undone

__all__ = ["Change", "Embedded", "PictureTags", "Sidecars", "Undone", "read_tags", "undo", "undo_embedded"]
