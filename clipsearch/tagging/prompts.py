"""What is embedded for a label: template sets in English and Japanese, and a label's own words in them.

Knows no model; `vectors` embeds what is made here.
"""

from __future__ import annotations
