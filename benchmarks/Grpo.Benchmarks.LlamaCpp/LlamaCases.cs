using Grpo.Models.Qwen;
using LLama;
using LLama.Common;
using LLama.Native;

namespace Grpo.Benchmarks.LlamaCpp;

/// <summary>The options of llama.cpp.</summary>
/// <param name="Threads">The number of threads.</param>
/// <param name="FlashAttention">True or false; null for the faster of the two: true for prefill and false for decoding.</param>
/// <param name="Unified">True if all rows share one cache.</param>
/// <param name="Rounds">The number of rounds.</param>
internal sealed record LlamaOptions(int Threads, bool? FlashAttention, bool Unified, int Rounds);

/// <summary>The cases of a model in llama.cpp: prefill and decoding, in float32 and in 8 bits. Keys and values are float32.</summary>
/// <remarks>The tokens are random and no token is sampled, so the time is that of the model alone.</remarks>
internal sealed class LlamaCases(Shape shape, RandomModel model, LlamaOptions options) : IDisposable
{
    private readonly Random _random = new(1);
    private readonly Dictionary<string, Action> _prepared = [];
    private readonly Dictionary<ExportType, LLamaWeights> _weights = [];
    private readonly List<LLamaContext> _contexts = [];

    /// <summary>The names of the cases, in order.</summary>
    public IReadOnlyList<string> Names => [.. All.Select(item => item.Name)];

    private IEnumerable<(string Name, Func<Action> Prepare)> All =>
    [
        .. PeerCases.PromptLengths.Select(length => (PeerCases.PrefillName(length), (Func<Action>)(() => Prefill(length)))),
        .. from type in (ExportType[])[ExportType.Float32, ExportType.Q8]
           from rows in PeerCases.Rows(shape)
           select (PeerCases.DecodeName(shape, rows, type == ExportType.Q8), (Func<Action>)(() => Decode(type, rows))),
    ];

    /// <summary>Returns what runs a case. The first call loads the model and fills the cache.</summary>
    public Action Prepare(int index)
    {
        (string name, Func<Action> prepare) = All.ElementAt(index);
        return _prepared.TryGetValue(name, out Action? run) ? run : _prepared[name] = prepare();
    }

    public void Dispose()
    {
        _contexts.ForEach(context => context.Dispose());
        foreach (LLamaWeights weights in _weights.Values)
        {
            weights.Dispose();
        }
    }

    private Action Prefill(int length)
    {
        LLamaContext context = Create(ExportType.Float32, rows: 1, length, flashAttention: true);
        int[] prompt = RandomTokens(length);
        return () =>
        {
            context.NativeHandle.MemoryClear(false);
            Fill(context, prompt);
        };
    }

    private Action Decode(ExportType type, int rows)
    {
        LLamaContext context = Create(
            type, rows, PeerCases.TokensBefore + PeerCases.NewTokens(shape, options.Rounds), flashAttention: false);
        Fill(context, RandomTokens(PeerCases.TokensBefore));
        for (int row = 1; row < rows; row++)
        {
            context.NativeHandle.MemorySequenceCopy(LLamaSeqId.Zero, (LLamaSeqId)row, -1, -1); // the whole sequence
        }

        int length = PeerCases.TokensBefore;
        var batch = new LLamaBatch();
        return () =>
        {
            for (int step = 0; step < PeerCases.TokensPerRun(shape); step++, length++)
            {
                batch.Clear();
                for (int row = 0; row < rows; row++)
                {
                    batch.Add(_random.Next(shape.Config.VocabularySize), length, (LLamaSeqId)row, logits: true);
                }

                Run(context, batch);
            }
        };
    }

    private static void Fill(LLamaContext context, int[] prompt)
    {
        var batch = new LLamaBatch();
        for (int i = 0; i < prompt.Length; i++)
        {
            batch.Add(prompt[i], i, LLamaSeqId.Zero, logits: i == prompt.Length - 1);
        }

        Run(context, batch);
    }

    // Reading a logit waits until all are computed.
    private static void Run(LLamaContext context, LLamaBatch batch)
    {
        DecodeResult result = context.Decode(batch);
        if (result != DecodeResult.Ok || !float.IsFinite(context.NativeHandle.GetLogitsIth(batch.TokenCount - 1)[0]))
        {
            throw new InvalidOperationException(
                $"llama.cpp could not decode {batch.TokenCount} tokens: the result is {result}, or a logit is not finite.");
        }
    }

    private LLamaContext Create(ExportType type, int rows, int length, bool flashAttention)
    {
        var parameters = new ModelParams(model.Require(type))
        {
            ContextSize = (uint)(rows * length),
            SeqMax = (uint)rows,
            KVUnified = options.Unified,
            BatchSize = (uint)Math.Max(length, rows),
            Threads = options.Threads,
            BatchThreads = options.Threads,
            GpuLayerCount = 0,
            FlashAttention = options.FlashAttention ?? flashAttention,
            TypeK = GGMLType.GGML_TYPE_F32,
            TypeV = GGMLType.GGML_TYPE_F32,
        };
        if (!_weights.TryGetValue(type, out LLamaWeights? weights))
        {
            _weights[type] = weights = LLamaWeights.LoadFromFile(parameters);
        }

        LLamaContext context = weights.CreateContext(parameters);
        _contexts.Add(context);
        return context;
    }

    private int[] RandomTokens(int count) => [.. Enumerable.Range(0, count).Select(_ => _random.Next(shape.Config.VocabularySize))];
}
