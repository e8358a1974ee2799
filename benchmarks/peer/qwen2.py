"""A plain Qwen2 in PyTorch, to compare speed with. It runs on PyTorch 1.13 and later and needs nothing else."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass
class Config:
    """The shape of a model. The names are those of config.json."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    intermediate_size: int
    vocab_size: int
    rope_theta: float = 1e6
    rms_norm_eps: float = 1e-6
    tie_word_embeddings: bool = True


class RmsNorm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.hidden_size))
        self.eps = config.rms_norm_eps

    def forward(self, hidden):
        return hidden * torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def rotate(heads, cos, sin):
    first, second = heads.chunk(2, -1)
    return heads * cos + torch.cat((-second, first), -1) * sin


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads, self.shared = config.num_attention_heads, config.num_key_value_heads
        self.width = config.hidden_size // self.heads
        self.q_proj = nn.Linear(config.hidden_size, self.heads * self.width)
        self.k_proj = nn.Linear(config.hidden_size, self.shared * self.width)
        self.v_proj = nn.Linear(config.hidden_size, self.shared * self.width)
        self.o_proj = nn.Linear(self.heads * self.width, config.hidden_size, bias=False)

    def forward(self, hidden, cos, sin, mask, cache, start):
        rows, length, _ = hidden.shape
        query = rotate(self.q_proj(hidden).view(rows, length, self.heads, -1).transpose(1, 2), cos, sin)
        key = rotate(self.k_proj(hidden).view(rows, length, self.shared, -1).transpose(1, 2), cos, sin)
        value = self.v_proj(hidden).view(rows, length, self.shared, -1).transpose(1, 2)
        if cache is not None:
            end = start + length
            cache[0][:, :, start:end], cache[1][:, :, start:end] = key, value
            key, value = cache[0][:, :, :end], cache[1][:, :, :end]
        # The query heads that share a key head are rows of one product, so keys and values are not repeated for each of them.
        scores = query.reshape(rows, self.shared, -1, self.width) @ key.transpose(2, 3) * self.width**-0.5
        probs = (scores.view(rows, self.heads, length, -1) + mask).softmax(-1)
        mixed = probs.view(rows, self.shared, -1, key.shape[2]) @ value
        return self.o_proj(mixed.view(rows, self.heads, length, -1).transpose(1, 2).reshape(rows, length, -1))


class FeedForward(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, hidden):
        return self.down_proj(F.silu(self.gate_proj(hidden)) * self.up_proj(hidden))


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.self_attn, self.mlp = Attention(config), FeedForward(config)
        self.input_layernorm, self.post_attention_layernorm = RmsNorm(config), RmsNorm(config)

    def forward(self, hidden, *attention):
        hidden = hidden + self.self_attn(self.input_layernorm(hidden), *attention)
        return hidden + self.mlp(self.post_attention_layernorm(hidden))


class Decoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = RmsNorm(config)


class Qwen2(nn.Module):
    """A Qwen2 model with the parameter names of Hugging Face checkpoints. Its weights are random."""

    def __init__(self, config):
        super().__init__()
        self.config, self.model = config, Decoder(config)
        nn.init.normal_(self.model.embed_tokens.weight, std=0.02)
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def hidden(self, ids, attention_mask=None, cache=None, start=0):
        """Computes the last hidden states, [B, T, H], of tokens that follow `start` earlier ones in the cache."""
        end, width = start + ids.shape[1], self.config.hidden_size // self.config.num_attention_heads
        positions, mask = torch.arange(start, end)[None], torch.arange(end) > torch.arange(start, end)[:, None]
        if attention_mask is not None:
            positions = (attention_mask.cumsum(1) - 1).clamp(min=0)[:, start:]
            mask = mask | (attention_mask[:, None, None] == 0)
        mask = torch.zeros(mask.shape).masked_fill(mask, torch.finfo(torch.float32).min)
        frequencies = self.config.rope_theta ** (-torch.arange(0, width, 2) / width)
        angles = (positions[:, None, :, None] * frequencies).repeat(1, 1, 1, 2)
        hidden, cos, sin = self.model.embed_tokens(ids), angles.cos(), angles.sin()
        for i, layer in enumerate(self.model.layers):
            hidden = layer(hidden, cos, sin, mask, None if cache is None else cache[i], start)
        return self.model.norm(hidden)

    def logits(self, hidden):
        head = self.model.embed_tokens if self.config.tie_word_embeddings else self.lm_head
        return F.linear(hidden, head.weight)

    def log_probs(self, ids, first=1, attention_mask=None):
        """Computes the log-probs, [B, T - first], of the tokens from a position on."""
        logits = self.logits(self.hidden(ids, attention_mask)[:, first - 1 : -1])
        return logits.gather(2, ids[:, first:, None])[..., 0] - logits.logsumexp(2)

    @torch.no_grad()
    def generate(self, prompts, count, attention_mask=None, greedy=False):
        """Decodes tokens after prompts, [B, P], with a cache of keys and values. Returns them as [B, count]."""
        rows, length = prompts.shape
        shape = rows, self.config.num_key_value_heads, length + count, self.config.hidden_size // self.config.num_attention_heads
        cache = [(torch.zeros(shape), torch.zeros(shape)) for _ in self.model.layers]
        ids, start, tokens = prompts, 0, []
        for _ in range(count):
            logits = self.logits(self.hidden(ids, attention_mask, cache, start)[:, -1])
            start += ids.shape[1]
            ids = logits.argmax(1, keepdim=True) if greedy else torch.multinomial(logits.softmax(1), 1)
            tokens.append(ids)
            if attention_mask is not None:
                attention_mask = torch.cat((attention_mask, torch.ones(rows, 1, dtype=torch.long)), 1)
        return torch.cat(tokens, 1)


def grpo_loss(log_probs, advantages, mask, old=None, clip=0.2):
    """Computes the clipped policy-gradient loss, as a mean over the tokens of the batch. `old` is None for the first update."""
    ratio = (log_probs - (log_probs.detach() if old is None else old)).exp()
    gain = torch.min(ratio * advantages[:, None], ratio.clamp(1 - clip, 1 + clip) * advantages[:, None])
    return -(gain * mask).sum() / mask.sum()


def update(model, optimizer, ids, first, advantages):
    """Updates the model once: forward pass, loss, backward pass, gradient norm clip and AdamW."""
    log_probs = model.log_probs(ids, first)
    grpo_loss(log_probs, advantages, torch.ones_like(log_probs)).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
