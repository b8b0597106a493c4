#!/usr/bin/env python3
"""Trains the tiny-r1 tokenizer: byte-level BPE with the DeepSeek-R1 pre-tokenizer and token layout.

  tokenizer.py --corpus FILE --out DIR      FILE: one JSON string per line (generate.py corpus)

Ids: 0..2 BOS/EOS/pad, 3..258 bytes, 259..1919 merges, 1920..1936 = real id - 126878, 1937..1951
place holders. Digits are split one by one during training only, so no merge joins two digits
although pieces hold up to three.
"""

import argparse
import json
import os
import re

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from chat import ADDED, BASE_SPECIALS, BOS, CHAT_TEMPLATE, EOS

VOCAB_BASE, VOCAB_TOKENS = 1920, 1952
SPLITS = [
    r"\p{N}{1,3}",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
]


def pre_tokenizer(first=()):
    splits = [pre_tokenizers.Split(Regex(p), "isolated") for p in SPLITS]
    return pre_tokenizers.Sequence(
        [*first, *splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )


def train(corpus):
    names = re.compile("|".join(re.escape(t) for t in BASE_SPECIALS + [t for t, _ in ADDED]))

    def pieces():
        with open(corpus, encoding="utf-8") as f:
            for line in f:
                yield [p for p in names.split(json.loads(line)) if p]

    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.Sequence([])
    tok.pre_tokenizer = pre_tokenizer([pre_tokenizers.Digits(individual_digits=True)])
    tok.train_from_iterator(
        pieces(),
        trainers.BpeTrainer(
            vocab_size=VOCAB_BASE,
            special_tokens=BASE_SPECIALS,
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    tok.pre_tokenizer = pre_tokenizer()
    tok.decoder = decoders.ByteLevel()
    tok.post_processor = processors.ByteLevel(trim_offsets=False)
    for name, special in ADDED:
        token = AddedToken(name, special=special, normalized=False)
        (tok.add_special_tokens if special else tok.add_tokens)([token])
    return tok


def verify(tok):
    assert tok.get_vocab_size() == VOCAB_TOKENS, tok.get_vocab_size()
    assert [tok.token_to_id(t) for t in BASE_SPECIALS] == [0, 1, 2]
    assert [tok.token_to_id(t) for t, _ in ADDED] == list(range(VOCAB_BASE, VOCAB_TOKENS))
    data = json.loads(tok.to_str())
    assert (
        len(data["model"]["vocab"]) == VOCAB_BASE
        and len(data["model"]["merges"]) == VOCAB_BASE - 259
    )
    digits = [t for t in data["model"]["vocab"] if sum(c.isdigit() for c in t) > 0 and len(t) > 1]
    assert not [t for t in digits if re.search(r"[0-9]{2}", t)], digits
    for s in ["Tom has 347 apples.\n", "你好 🎉 naïve", "  a\n\n b", "1 + 2 = 3"]:
        assert (
            tok.decode(tok.encode(s, add_special_tokens=False).ids, skip_special_tokens=False) == s
        ), s


def token_entry(content):
    return {
        "__type": "AddedToken",
        "content": content,
        "lstrip": False,
        "normalized": True,
        "rstrip": False,
        "single_word": False,
    }


def save(tok, out):
    os.makedirs(out, exist_ok=True)
    tok.save(os.path.join(out, "tokenizer.json"))
    config = {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": token_entry(BOS),
        "clean_up_tokenization_spaces": False,
        "eos_token": token_entry(EOS),
        "legacy": True,
        "model_max_length": 16384,
        "pad_token": token_entry(EOS),
        "sp_model_kwargs": {},
        "unk_token": None,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": CHAT_TEMPLATE,
    }
    with open(os.path.join(out, "tokenizer_config.json"), "w", encoding="utf-8") as f:
        json.dump(config, f, ensure_ascii=False, indent=2)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ap.add_argument("--corpus", required=True)
    ap.add_argument("--out", required=True)
    args = ap.parse_args()
    t = train(args.corpus)
    verify(t)
    save(t, args.out)
    print("tokenizer ok")
