using Grpo.Modeling;
using Grpo.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Testing;

/// <summary>
/// The smallest policy with a real gradient: the logits of the next token are the table's row of the last one. Every probability
/// can be worked out by hand, and a row of a batch cannot see its neighbors.
/// </summary>
public sealed class BigramPolicy : IEntropyPolicy, IVocabularyPolicy, IReferenceModel, IDisposable
{
    private const string WeightsFile = "bigram.safetensors";

    private readonly TableModule _module;

    /// <summary>A table of small numbers that follow from the seed.</summary>
    /// <param name="vocabularySize">Tokens, V.</param>
    /// <param name="seed">Seed of the table; 0 gives a table of zeros, so that all tokens are equally probable.</param>
    public BigramPolicy(int vocabularySize, ulong seed = 0)
    {
        var values = new float[vocabularySize * vocabularySize];
        for (int i = 0; seed != 0 && i < values.Length; i++)
        {
            values[i] = (float)((2 * CounterRandom.Uniform(seed, i)) - 1);
        }

        TorchBackend.EnsureAvailable();
        _module = new TableModule(values, vocabularySize);
    }

    /// <inheritdoc/>
    public nn.Module Module => _module;

    /// <inheritdoc/>
    public int VocabularySize => (int)Table.shape[0];

    /// <summary>The table, [V, V]: row = last token, column = next token.</summary>
    public Parameter Table => _module.Table;

    /// <summary>How often <see cref="LogProbs"/> was called.</summary>
    public int LogProbsCalls { get; private set; }

    /// <summary>Called at the start of every <see cref="LogProbs"/>: cancels, or fails, at a chosen moment of an update.</summary>
    public Action? OnLogProbs { get; set; }

    /// <summary>Called at the start of every <see cref="StartDecoding"/> with the rows of the session.</summary>
    public Action<long>? OnStartDecoding { get; set; }

    /// <summary>Called at the start of every <see cref="IDecodingSession.Advance"/>.</summary>
    public Action? OnAdvance { get; set; }

    /// <summary>Whether its sessions take prompts after their start.</summary>
    public bool CanAddPrompts { get; set; } = true;

    /// <summary>Prompts that joined a session.</summary>
    public int AddedPrompts { get; private set; }

    /// <summary>Rows of each call of <see cref="IDecodingSession.Advance"/>.</summary>
    public List<int> AdvancedRows { get; } = [];

    /// <summary>Called after <see cref="Save"/> has written its file.</summary>
    public Action? OnSaved { get; set; }

    /// <summary>A copy of the table, row by row.</summary>
    public float[] Weights()
    {
        using var scope = TensorScope.BeginNoGrad();
        return Table.detach().data<float>().ToArray();
    }

    /// <summary>The probability that <paramref name="next"/> follows <paramref name="last"/>.</summary>
    public double Probability(int last, int next, double temperature = 1)
    {
        using var scope = TensorScope.BeginNoGrad();
        return (Table.select(0, last) / temperature).softmax(-1).select(0, next).item<float>();
    }

    /// <inheritdoc/>
    public Tensor LogProbs(TokenBatch batch, double temperature)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(LogProbsAndEntropies(batch, temperature).LogProbs);
    }

    /// <inheritdoc/>
    public TokenStatistics LogProbsAndEntropies(TokenBatch batch, double temperature)
    {
        LogProbsCalls++;
        OnLogProbs?.Invoke();
        using var scope = TensorScope.Begin();
        Tensor ids = torch.cat([batch.PromptIds, batch.CompletionIds], 1);                                         // [B, T]
        Tensor last = ids.narrow(1, batch.PromptLength - 1, batch.CompletionLength).reshape(-1);                   // [B·C]
        Tensor logProbs = (Table.index_select(0, last) / temperature).log_softmax(-1);                             // [B·C, V]
        Tensor picked = logProbs.gather(1, batch.CompletionIds.reshape(-1, 1)).reshape(batch.CompletionIds.shape); // [B, C]
        Tensor entropies = -(logProbs.exp() * logProbs).sum(1L).reshape(batch.CompletionIds.shape);                // [B, C]
        Tensor padding = batch.CompletionMask.eq(0);
        return new TokenStatistics(scope.Keep(picked.masked_fill(padding, 0)), scope.Keep(entropies.masked_fill(padding, 0)));
    }

    /// <inheritdoc/>
    public IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens)
    {
        OnStartDecoding?.Invoke(prompts.Count * groupSize);
        using var scope = TensorScope.BeginNoGrad();
        Tensor last = prompts.PromptIds.select(1, prompts.PromptLength - 1).repeat_interleave(groupSize);          // [B]
        return new Session(this, scope.Release(last), prompts.PromptLength, maxNewTokens);
    }

    /// <inheritdoc/>
    public void Save(string directory)
    {
        SafetensorsWriter.Write(Path.Combine(directory, WeightsFile), [new("table", Table)]);
        OnSaved?.Invoke();
    }

    /// <inheritdoc/>
    public void Load(string directory)
    {
        using SafetensorsReader reader = SafetensorsReader.Open(Path.Combine(directory, WeightsFile));
        using var scope = TensorScope.BeginNoGrad();
        reader.ReadInto("table", Table);
    }

    /// <inheritdoc/>
    public void Dispose() => _module.Dispose();

    private sealed class TableModule : nn.Module
    {
        [ComponentName(Name = "table")]
        private readonly Parameter _table;

        public TableModule(float[] values, int size)
            : base(nameof(BigramPolicy))
        {
            using var scope = TensorScope.Begin();
            _table = new Parameter(tensor(values, size, size));
            scope.Release(_table);
            RegisterComponents();
        }

        public Parameter Table => _table;
    }

    // The contract, enforced: a caller that breaks it must not pass its tests.
    private sealed class Session(BigramPolicy policy, Tensor last, long longestPrompt, int maxNewTokens) : IDecodingSession
    {
        private readonly long _room = last.shape[0];
        private List<int>? _tokens;                    // new tokens of each row; null before Prefill
        private bool _disposed;

        public bool CanAddPrompts => policy.CanAddPrompts;

        public Tensor Prefill()
        {
            Require(_tokens is null, "Prefill is called once, first.");
            _tokens = [.. Enumerable.Repeat(1, (int)_room)];
            using var scope = TensorScope.BeginNoGrad();
            return scope.Keep(policy.Table.index_select(0, last));                                                 // [B, V]
        }

        public Tensor AddPrompts(TokenBatch prompts, int groupSize)
        {
            Require(CanAddPrompts && _tokens is not null, "AddPrompts is called where sessions can, after Prefill.");
            Require(
                prompts.PromptLength <= longestPrompt,
                $"A prompt of {prompts.PromptLength} tokens joins a session of at most {longestPrompt}.");
            Require(
                _tokens!.Count + (prompts.Count * groupSize) <= _room,
                $"{prompts.Count} groups of {groupSize} join {_tokens.Count} rows of {_room}.");
            _tokens.AddRange(Enumerable.Repeat(1, (int)prompts.Count * groupSize));
            policy.AddedPrompts += (int)prompts.Count;
            using var scope = TensorScope.BeginNoGrad();
            Tensor ends = prompts.PromptIds.select(1, prompts.PromptLength - 1).repeat_interleave(groupSize);      // [n·G]
            return scope.Keep(policy.Table.index_select(0, ends));
        }

        public Tensor Advance(Tensor tokenIds)
        {
            Require(_tokens is not null, "Advance is called after Prefill.");
            policy.OnAdvance?.Invoke();
            TensorGuard.Require(tokenIds, nameof(tokenIds), "[B]", _tokens!.Count);
            policy.AdvancedRows.Add(_tokens.Count);
            _tokens = [.. _tokens.Select(tokens => tokens + 1)];
            Require(_tokens.Max() <= maxNewTokens, $"{maxNewTokens} new tokens were announced.");
            using var scope = TensorScope.BeginNoGrad();
            return scope.Keep(policy.Table.index_select(0, tokenIds));                                             // [B, V]
        }

        public void KeepRows(IReadOnlyList<int> rows)
        {
            Require(
                _tokens is not null && rows.Count > 0 && rows.Distinct().Count() == rows.Count
                    && rows.All(row => row >= 0 && row < _tokens.Count),
                $"Rows {string.Join(", ", rows)} cannot be kept of {_tokens?.Count ?? 0}.");
            _tokens = [.. rows.Select(row => _tokens![row])];
        }

        public void Dispose()
        {
            _disposed = true;
            last.Dispose();
        }

        private void Require(bool condition, string rule)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (!condition)
            {
                throw new InvalidOperationException(rule);
            }
        }
    }
}
