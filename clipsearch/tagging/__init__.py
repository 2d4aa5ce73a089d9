"""Zero-shot tagging: a vocabulary and pictures -> tags with confidences, written where other tools read them.

    vocabulary/  the labels: text, CSV, YAML, SKOS
    prompts      what is embedded for a label; vectors embeds it, kept_vectors keeps it by model
    scoring/     from cosines to confidences: background, curves, thresholds
    deciding     which labels a picture is given
    tagger       Tagger, which puts these together; on pictures, vectors and collections
    labels/      what people said: labelled examples and answers
    review/      the pictures whose labels would teach most
    lint/        what is wrong with a vocabulary
    journal      a run's changes, to be undone
    payload      tags in the collection; outputs: in files
    sidecars/    tags in XMP files beside pictures, or in them

Knows nothing of how results are shown.
"""
