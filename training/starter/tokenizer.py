"""The tokenizer of the embedded model: byte-level BPE that keeps digits apart, and its chat template.

Owns the special tokens and the form of a conversation, its tools and their calls as text.
Does not know the corpus or the model.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

START, END, PAD = "<|im_start|>", "<|im_end|>", "<|pad|>"
# Not special: a tool parser reads them in an answer from which special tokens are skipped.
TOOL_MARKS = (
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
    "<tools>",
    "</tools>",
)
_MARKS = re.compile("|".join(re.escape(mark) for mark in (START, END, PAD, *TOOL_MARKS)))

# The generation marks cover an answer, its tool calls and its end, so that a trainer can learn from answers
# alone. Calls are written as Hermes-2-Pro does, which is what `vllm serve --tool-call-parser hermes` reads;
# no line break comes before the first one, since the parser takes all before it as the answer's text.
CHAT_TEMPLATE = r"""
{%- macro text(content) %}
    {%- if content is string %}{{- content }}
    {%- elif content is not none and content is defined %}
        {%- for part in content %}{{- part if part is string else part['text'] }}{%- endfor %}
    {%- endif %}
{%- endmacro %}
{%- macro listed() %}
    {{- '<tools>' }}
    {%- for tool in tools %}
        {{- '\n' + ((tool['function'] if tool['function'] is defined else tool) | tojson) }}
    {%- endfor %}
    {{- '\n</tools>' }}
{%- endmacro %}
{%- if tools and (not messages or messages[0]['role'] != 'system') %}
    {{- '<|im_start|>system\n' + listed() + '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- set content = text(message['content']) %}
    {%- if message['role'] == 'tool' %}
        {%- if loop.first or loop.previtem['role'] != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\n<tool_response>\n' + content + '\n</tool_response>' }}
        {%- if loop.last or loop.nextitem['role'] != 'tool' %}{{- '<|im_end|>\n' }}{%- endif %}
    {%- elif message['role'] == 'assistant' %}
        {{- '<|im_start|>assistant\n' }}
        {%- generation %}
            {{- content }}
            {%- for call in message['tool_calls'] or [] %}
                {%- set called = call['function'] if call['function'] is defined else call %}
                {%- set given = called['arguments'] %}
                {{- '' if loop.first else '\n' }}
                {{- '<tool_call>\n{"name": ' + (called['name'] | tojson) + ', "arguments": ' }}
                {{- (given or '{}') if given is string else ((given or {}) | tojson) }}
                {{- '}\n</tool_call>' }}
            {%- endfor %}
            {{- '<|im_end|>' }}
        {%- endgeneration %}
        {{- '\n' }}
    {%- else %}
        {{- '<|im_start|>' + message['role'] + '\n' + content }}
        {%- if loop.first and tools and message['role'] == 'system' %}
            {{- ('\n\n' if content else '') + listed() }}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}
""".strip()

CONTEXT = 2048
_SELDOM = 4


def plain(rendered: str) -> list[str]:
    """The pieces of a rendered conversation between its marks: what the vocabulary is to be learnt from."""
    return [piece for piece in _MARKS.split(rendered) if piece]


def train(texts: Iterable[str], vocab: int) -> PreTrainedTokenizerFast:
    """A tokenizer of `vocab` entries, marks included, learnt from `texts`; every single byte is one."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    raw = Tokenizer(models.BPE())
    # Merged digits cannot be copied from a context: a number must be a row of digits.
    # And a name must be the same tokens whatever stands before it, so capitals take no space along.
    split = Regex(r"\p{N}| (?=\p{Lu})| ?\p{Ll}+|\p{Lu}\p{Ll}*|\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s")
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(split, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab - len(TOOL_MARKS),
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(texts, trainer)
    raw.add_tokens([AddedToken(mark, normalized=False, special=False) for mark in TOOL_MARKS])
    return _wrapped(raw)


def _wrapped(raw: Tokenizer) -> PreTrainedTokenizerFast:
    from transformers import PreTrainedTokenizerFast

    made = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token=END,
        pad_token=PAD,
        extra_special_tokens=[START],
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = CHAT_TEMPLATE
    return made


def extended(tok: PreTrainedTokenizerFast, texts: Iterable[str], vocab: int) -> PreTrainedTokenizerFast:
    """`tok` with more entries, up to `vocab`, learnt from `texts` by going on merging: the old ones stay, but
    the marks move to the end. Fewer where no pair of tokens is left that comes `_SELDOM` times."""
    from tokenizers import Tokenizer

    raw = tok.backend_tokenizer
    pieces = Counter(piece for text in texts for piece, _ in raw.pre_tokenizer.pre_tokenize_str(text))
    words = [([one.value for one in raw.model.tokenize(piece)], count) for piece, count in pieces.items()]
    held = json.loads(raw.to_str())
    known = held["model"]["vocab"]
    while len(known) < vocab - len(TOOL_MARKS):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in words:
            for pair in pairwise(word):
                pairs[pair] += count
        best = max(pairs, key=lambda pair: (pairs[pair], pair), default=None)
        if best is None or pairs[best] < _SELDOM:
            break
        known.setdefault("".join(best), len(known))
        held["model"]["merges"].append(list(best))
        words = [(_merged(word, best), count) for word, count in words if len(word) > 1]
    return _wrapped(Tokenizer.from_str(json.dumps(held)))


def _merged(word: list[str], pair: tuple[str, str]) -> list[str]:
    made: list[str] = []
    for one in word:
        if made and (made[-1], one) == pair:
            made[-1] += one
        else:
            made.append(one)
    return made
