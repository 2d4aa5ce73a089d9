"""Materials and finishes: what they are called, what they cost, how they reflect light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clipsearch.demo.render import Look
from clipsearch.demo.render.shading import srgb


@dataclass(frozen=True, slots=True)
class Surface:
    """One material in one finish. The first English and the first Japanese word are the catalogue's."""

    material: str
    finish: str
    code: str  # a part number's last letters
    price: float  # factor on plain steel's
    english: tuple[str, ...]
    japanese: tuple[str, ...]
    look: Look


SURFACES: Mapping[str, Surface] = {
    "steel plain": Surface(
        "steel",
        "plain",
        "ST",
        1.0,
        ("steel", "plain steel", "bare steel", "mild steel"),
        ("鋼製", "スチール製", "鉄製"),
        Look((0.50, 0.505, 0.51), True, 0.22),
    ),
    "steel zinc": Surface(
        "steel",
        "zinc plated",
        "ZN",
        1.1,
        ("zinc plated steel", "zinc-plated", "galvanised", "bright zinc steel"),
        ("亜鉛めっき鋼", "ユニクロめっき", "亜鉛メッキ"),
        Look((0.74, 0.78, 0.83), True, 0.20),
    ),
    "steel yellow zinc": Surface(
        "steel",
        "yellow zinc",
        "YZ",
        1.15,
        ("yellow zinc steel", "yellow passivated", "yellow chromate steel"),
        ("有色クロメート鋼", "クロメートめっき", "黄色亜鉛めっき"),
        Look((0.80, 0.70, 0.36), True, 0.30),
    ),
    "steel black oxide": Surface(
        "steel",
        "black oxide",
        "BO",
        1.15,
        ("black oxide steel", "blackened steel", "black steel", "black"),
        ("黒染め鋼", "黒染め", "黒い"),
        Look((0.035, 0.035, 0.04), True, 0.30),
    ),
    "steel red": Surface(
        "steel",
        "painted red",
        "PR",
        1.2,
        ("red painted steel", "red", "painted red"),
        ("赤塗装の鋼製", "赤い", "赤色塗装"),
        Look(srgb("#b5161a"), False, 0.25, coat=0.6),
    ),
    "steel blue": Surface(
        "steel",
        "painted blue",
        "PB",
        1.2,
        ("blue painted steel", "blue", "painted blue"),
        ("青塗装の鋼製", "青い", "青色塗装"),
        Look(srgb("#1747a8"), False, 0.25, coat=0.6),
    ),
    "steel green": Surface(
        "steel",
        "painted green",
        "PG",
        1.2,
        ("green painted steel", "green", "painted green"),
        ("緑塗装の鋼製", "緑の", "緑色塗装"),
        Look(srgb("#1d7a36"), False, 0.25, coat=0.6),
    ),
    "steel yellow": Surface(
        "steel",
        "painted yellow",
        "PY",
        1.2,
        ("yellow painted steel", "yellow", "painted yellow"),
        ("黄塗装の鋼製", "黄色い", "黄色塗装"),
        Look(srgb("#e8b80e"), False, 0.25, coat=0.6),
    ),
    "stainless polished": Surface(
        "stainless steel",
        "polished",
        "A2",
        2.2,
        ("polished stainless steel", "stainless steel", "shiny stainless", "stainless, polished"),
        ("研磨ステンレス製", "ステンレス製", "鏡面ステンレス"),
        Look((0.66, 0.65, 0.63), True, 0.05),
    ),
    "stainless brushed": Surface(
        "stainless steel",
        "brushed",
        "A4",
        2.0,
        ("brushed stainless steel", "stainless steel", "satin stainless", "stainless, brushed"),
        ("ヘアライン仕上げのステンレス製", "ステンレス製", "サテン仕上げステンレス"),
        Look((0.62, 0.615, 0.60), True, 0.30, brushed=0.13),
    ),
    "brass polished": Surface(
        "brass",
        "polished",
        "MS",
        3.0,
        ("polished brass", "brass", "gold-coloured", "shiny brass"),
        ("研磨真鍮製", "真鍮製", "黄銅製", "金色の"),
        Look((0.89, 0.68, 0.28), True, 0.07),
    ),
    "brass brushed": Surface(
        "brass",
        "brushed",
        "MB",
        2.9,
        ("brushed brass", "brass", "satin brass"),
        ("ヘアライン仕上げの真鍮製", "真鍮製", "黄銅製"),
        Look((0.80, 0.62, 0.29), True, 0.34, brushed=0.12),
    ),
    "copper": Surface(
        "copper",
        "plain",
        "CU",
        3.4,
        ("copper", "plain copper", "reddish copper"),
        ("銅製", "銅の", "赤銅色の"),
        Look((0.90, 0.46, 0.31), True, 0.14),
    ),
    "bronze": Surface(
        "bronze",
        "plain",
        "BZ",
        3.2,
        ("bronze", "plain bronze", "dark bronze"),
        ("青銅製", "ブロンズ製", "砲金製"),
        Look((0.46, 0.29, 0.15), True, 0.22),
    ),
    "aluminium": Surface(
        "aluminium",
        "plain",
        "AL",
        1.6,
        ("aluminium", "aluminum", "plain aluminium", "matt aluminium"),
        ("アルミ製", "アルミニウム製", "無処理アルミ"),
        Look((0.83, 0.84, 0.85), True, 0.42, grain=0.03),
    ),
    "aluminium blue": Surface(
        "aluminium",
        "anodised blue",
        "AB",
        2.1,
        ("blue anodised aluminium", "anodised blue", "blue aluminium"),
        ("青アルマイトのアルミ製", "青アルマイト", "青いアルミ"),
        Look((0.05, 0.20, 0.72), True, 0.28),
    ),
    "aluminium red": Surface(
        "aluminium",
        "anodised red",
        "AR",
        2.1,
        ("red anodised aluminium", "anodised red", "red aluminium"),
        ("赤アルマイトのアルミ製", "赤アルマイト", "赤いアルミ"),
        Look((0.70, 0.05, 0.06), True, 0.28),
    ),
    "nylon white": Surface(
        "nylon",
        "white",
        "NW",
        0.6,
        ("white nylon", "white plastic", "nylon", "white"),
        ("白ナイロン製", "白い樹脂製", "ナイロン製", "白い"),
        Look((0.82, 0.82, 0.79), False, 0.55),
    ),
    "nylon black": Surface(
        "nylon",
        "black",
        "NB",
        0.6,
        ("black nylon", "black plastic", "nylon", "black"),
        ("黒ナイロン製", "黒い樹脂製", "ナイロン製", "黒い"),
        Look((0.018, 0.018, 0.02), False, 0.5, coat=0.3),
    ),
    "cast iron": Surface(
        "cast iron",
        "plain",
        "CI",
        0.9,
        ("cast iron", "grey iron", "rough cast iron"),
        ("鋳鉄製", "鋳物の", "ねずみ鋳鉄製"),
        Look((0.17, 0.17, 0.175), True, 0.60, grain=0.16),
    ),
}
