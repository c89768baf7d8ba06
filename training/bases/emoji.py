"""Emoji for an uncased BERT vocabulary, which has none: "thanks😂" is one unknown word there.

The vocabulary keeps 994 unused slots. Common emoji take some of them, each with the mean embedding of the
words that describe it as its start, so neither the size of the model nor any other token changes. Other
symbols become spaces, so that they no longer swallow the word they touch.
"""

import json
import re
from typing import Any, Final

# The words come from the Unicode short names, shortened to what the emoji is used for.
EMOJI: Final = {
    "😂": "laughing tears funny", "🤣": "laughing rolling funny", "😀": "smile happy", "😃": "smile happy",
    "😄": "smile happy", "😁": "grin happy", "😆": "laughing happy", "😅": "laugh sweat relief",
    "🙂": "slight smile", "😊": "smile warm happy", "☺": "smile warm happy", "😇": "angel innocent",
    "😉": "wink", "😌": "relieved calm", "😍": "love eyes adore", "🥰": "love hearts adore",
    "😘": "kiss love", "😗": "kiss", "😙": "kiss", "😚": "kiss", "😋": "delicious", "😛": "tongue silly",
    "😜": "tongue wink silly", "🤪": "crazy silly", "😝": "tongue silly", "🤗": "hug warm", "🤭": "giggle",
    "🤔": "thinking", "🤨": "doubt suspicious", "😐": "neutral", "😑": "annoyed", "😶": "silent",
    "😏": "smirk", "😒": "annoyed unhappy", "🙄": "annoyed rolling eyes", "😬": "awkward nervous",
    "😔": "sad thoughtful", "😪": "sleepy", "😴": "asleep", "😷": "sick", "🤒": "sick fever",
    "🤕": "hurt injured", "🤢": "disgust sick", "🤮": "disgust vomit", "🥵": "hot", "🥶": "cold freezing",
    "😵": "dizzy", "🤯": "shocked amazed", "🤠": "cowboy", "🥳": "party celebrate", "😎": "cool",
    "😕": "confused", "😟": "worried", "🙁": "sad", "☹": "sad", "😮": "surprised", "😯": "surprised",
    "😲": "astonished shocked", "😳": "embarrassed shocked", "🥺": "pleading", "😦": "shocked",
    "😧": "anguish", "😨": "fear scared", "😰": "anxious nervous", "😥": "sad disappointed",
    "😢": "crying sad", "😭": "crying sobbing", "😱": "screaming fear terrified", "😖": "suffering",
    "😣": "suffering", "😞": "disappointed sad", "😓": "stressed", "😩": "weary tired", "😫": "tired",
    "🥱": "bored", "😤": "furious", "😡": "angry furious", "😠": "angry", "🤬": "angry swearing",
    "😈": "devil mischief", "👿": "devil angry", "💀": "dead", "☠": "dead", "💩": "shit", "👻": "ghost",
    "🤡": "clown fool", "🙃": "sarcastic smile", "❤": "love heart", "🧡": "love heart",
    "💛": "love heart", "💚": "love heart", "💙": "love heart", "💜": "love heart", "🖤": "love heart",
    "💕": "love hearts", "💖": "love heart", "💗": "love heart", "💓": "love heart", "💞": "love hearts",
    "💘": "love heart", "💝": "love heart gift", "❣": "love heart", "💔": "broken heart", "💋": "kiss",
    "💯": "perfect", "💢": "anger", "💥": "explosion", "💪": "strong", "👍": "good yes", "👎": "bad no",
    "👌": "okay perfect", "✌": "peace", "🤞": "hope luck", "🤝": "deal", "👏": "applause",
    "🙌": "celebrate praise", "🙏": "please thanks", "👊": "fist", "✊": "fist", "🖕": "fuck angry",
    "👀": "look", "🤷": "shrug", "🤦": "facepalm frustrated", "🎉": "party celebrate",
    "🎊": "party celebrate", "🎂": "birthday", "🎁": "gift", "🏆": "winner", "🔥": "fire great",
    "✨": "sparkle", "⭐": "star", "🌟": "star", "☀": "sun", "🌈": "rainbow", "🌹": "rose", "🌸": "flower",
    "☕": "coffee", "🍕": "food", "🍺": "beer", "🍷": "wine", "✈": "flight", "🚗": "car", "🚀": "rocket",
    "📦": "package", "📱": "phone", "💻": "computer", "📧": "mail", "💰": "money", "⏰": "clock",
    "✅": "done", "✔": "done", "❌": "wrong no", "⚠": "warning", "🚨": "alarm", "🆘": "help emergency",
    "❓": "question", "❗": "attention", "🚫": "forbidden", "💤": "sleep", "😺": "cat happy", "🐶": "dog",
    "🐱": "cat", "🎶": "music", "🎵": "music", "☔": "rain", "❄": "snow", "⚡": "lightning",
}  # fmt: skip

_UNUSED: Final = re.compile(r"\[unused\d+\]")
# Other symbols, joiners, variation selectors, skin tones.
_SYMBOLS: Final = r"[\p{So}\x{1F3FB}-\x{1F3FF}\x{200D}\x{FE0F}]"


def with_emoji_tokens(model: Any, tokenizer: Any) -> tuple[Any, Any]:
    """The same model and tokenizer with ``EMOJI`` in unused slots; as they are where there are too few
    slots, or where the tokenizer is no WordPiece.
    """
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    state = json.loads(tokenizer.backend_tokenizer.to_str())
    if state["model"]["type"] != "WordPiece":
        return model, tokenizer
    vocabulary: dict[str, int] = state["model"]["vocab"]
    if EMOJI.keys() <= vocabulary.keys():  # a run of this project, trained further
        return model, tokenizer
    slots = sorted((i, token) for token, i in vocabulary.items() if _UNUSED.fullmatch(token))
    if len(slots) < len(EMOJI):
        return model, tokenizer
    embeddings = model.get_input_embeddings().weight
    for (slot, unused), (emoji, words) in zip(slots, EMOJI.items(), strict=False):
        ids = tokenizer(words, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            embeddings[slot] = embeddings[ids].mean(dim=0)
        del vocabulary[unused]
        vocabulary[emoji] = slot
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
        state["added_tokens"].append({"id": slot, "content": emoji, **flags})
    state["added_tokens"].sort(key=lambda token: token["id"])
    symbols = {"type": "Replace", "pattern": {"Regex": _SYMBOLS}, "content": " "}
    state["normalizer"] = {"type": "Sequence", "normalizers": [symbols, state["normalizer"]]}
    state["truncation"] = state["padding"] = None  # lengths are the caller's business
    names = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    backend = Tokenizer.from_str(json.dumps(state))
    make: Any = PreTrainedTokenizerFast
    return model, make(tokenizer_object=backend, model_max_length=tokenizer.model_max_length, **names)
