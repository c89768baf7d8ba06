"""Languages by the names that the data sets give them, and by BCP 47 tags, which is what an event carries."""

from typing import Final

BRIGHTER: Final = {
    "afr": "af", "amh": "am", "arq": "ar-DZ", "ary": "ar-MA", "chn": "zh", "deu": "de", "eng": "en",
    "esp": "es", "hau": "ha", "hin": "hi", "ibo": "ig", "kin": "rw", "mar": "mr", "orm": "om", "pcm": "pcm",
    "ptbr": "pt-BR", "ptmz": "pt-MZ", "ron": "ro", "rus": "ru", "som": "so", "sun": "su", "swa": "sw",
    "swe": "sv", "tat": "tt", "tir": "ti", "ukr": "uk", "vmw": "vmw", "yor": "yo",
}  # fmt: skip
"""BRIGHTER's 28 files. Dialects keep their region: their rows were labelled apart, and are scored apart."""

MULTILINGUAL: Final = (
    "eng", "hin", "mar", "rus", "esp", "ron", "deu", "amh", "hau", "tat", "chn", "ukr", "pcm", "swe", "ary",
    "arq", "ibo", "ptbr", "ptmz",
)  # fmt: skip
"""The languages of BRIGHTER that the multilingual recipe trains on."""

XED: Final = ("de", "es", "fr", "pt", "ro", "ru", "sv", "it")
"""XED's projections that the multilingual recipe trains on; English is annotated by people."""
