using System.Globalization;
using System.Runtime.InteropServices;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;

namespace Grpo.StressRun;

/// <summary>One update of a model whose activations take a few hundred megabytes, within a limited address space.</summary>
internal static partial class MemoryRun
{
    private const int AddressSpace = 9; // RLIMIT_AS
    private const int Vocabulary = 2048;

    /// <summary>
    /// Runs the update, then a step without a limit, and writes the weights to <paramref name="output"/>. Prints one line: the final limit
    /// of tokens per micro-batch (0 for none), the loss, and the growth of the address space in bytes.
    /// </summary>
    /// <param name="output">The folder for the weights.</param>
    /// <param name="room">
    /// The number of bytes that the update may add to the address space. 0 for no limit. Below 0, only the weights are written.
    /// </param>
    /// <param name="maxTokens">The largest number of tokens in a micro-batch, or 0 for no limit.</param>
    /// <param name="checkpointing">True if the model uses gradient checkpointing.</param>
    /// <returns>
    /// 0, or 3 if the update ended with an error for the user. The error is printed, and the unchanged weights are written.
    /// </returns>
    public static async Task<int> ExecuteAsync(string output, long room, int maxTokens, bool checkpointing)
    {
        // The team that lets workers sleep beside other programs would take some of the room, or not, as the machine is busy or not.
        Environment.SetEnvironmentVariable("GOMP_SPINCOUNT", "10000");
        using var policy = new QwenPolicy(Model(seed: 1, layers: 4, hidden: 256));
        using var reference = new QwenReferenceModel(Model(seed: 2, layers: 4, hidden: 256));
        policy.Model.GradientCheckpointing = checkpointing;
        var options = new GrpoOptions
        {
            GroupSize = 8,
            PromptsPerStep = 2,
            MicroBatchSize = 16,
            MaxTokensPerMicroBatch = maxTokens == 0 ? null : maxTokens,
            LearningRate = 1e-2,
            AdamEpsilon = 1e-3, // so that a step follows the gradient, and rounding noise is not normalized into a step
            KlCoefficient = 0.05,
        };
        IReadOnlyList<Prompt> prompts = [Prompt.Create("p0", "-"), Prompt.Create("p1", "-")];
        // Loads and compiles once, for example the optimizer's script.
        using (var small = new QwenPolicy(Model(seed: 3, layers: 1, hidden: 32)))
        using (var smallOptimizer = new GrpoOptimizer(small, new RandomSampler(), Reward, options with { KlCoefficient = 0 }))
        {
            await smallOptimizer.StepAsync(prompts);
        }

        using var optimizer = new GrpoOptimizer(policy, new RandomSampler(), Reward, options, reference);
        ScoredStep groups = await optimizer.ScoreAsync(await optimizer.RolloutAsync(prompts));
        Directory.CreateDirectory(output);
        if (room < 0)
        {
            policy.Save(output);
            return 0;
        }

        _ = Trim(0); // free heap memory varies and would count as room
        long before = ResourceUse.Status("VmSize:") * 1024;
        if (room > 0)
        {
            Limit(before + room);
        }

        UpdateReport update;
        try
        {
            update = optimizer.Update(groups)[^1];
        }
        catch (InvalidOperationException exception)
        {
            Limit(long.MaxValue);
            policy.Save(output);
            Console.WriteLine($"error {exception.Message}");
            return 3;
        }

        long grown = (ResourceUse.Status("VmPeak:") * 1024) - before;
        if (room > 0)
        {
            Limit(long.MaxValue);
        }

        StepReport next = await optimizer.StepAsync(prompts); // uses the limit that the update found
        policy.Save(output);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"result {next.MicroBatchTokens ?? 0} {update.Loss:R} {grown}"));
        return 0;
    }

    private static IRewardFunction Reward { get; } = RewardFunction.Create("last", (_, completion) => completion.TokenIds[^1] % 7);

    private static CausalLM Model(ulong seed, int layers, int hidden) => CausalLM.Initialize(
        new DecoderConfig
        {
            VocabularySize = Vocabulary,
            HiddenSize = hidden,
            IntermediateSize = 4 * hidden,
            LayerCount = layers,
            AttentionHeadCount = 4,
            KeyValueHeadCount = 2,
            MaxPositions = 512,
            RopeTheta = 10_000,
            TieWordEmbeddings = true,
            EosTokenIds = [0],
        },
        seed);

    // Sets only the soft limit, because it can be raised again.
    private static void Limit(long bytes)
    {
        if (GetLimit(AddressSpace, out ResourceLimit limit) != 0)
        {
            throw new InvalidOperationException("getrlimit failed.");
        }

        limit.Soft = bytes == long.MaxValue ? limit.Hard : (ulong)bytes;
        if (SetLimit(AddressSpace, in limit) != 0)
        {
            throw new InvalidOperationException("setrlimit failed.");
        }
    }

    [LibraryImport("libc", EntryPoint = "getrlimit")]
    private static partial int GetLimit(int resource, out ResourceLimit limit);

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Trim(nuint keep);

    [LibraryImport("libc", EntryPoint = "setrlimit")]
    private static partial int SetLimit(int resource, in ResourceLimit limit);

    private struct ResourceLimit
    {
        public ulong Soft;
        public ulong Hard;
    }

    /// <summary>Creates completions of 48 to 96 tokens after prompts of 24 and 32 tokens.</summary>
    private sealed class RandomSampler : IGroupSampler
    {
        public ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(
            IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default) =>
            ValueTask.FromResult<IReadOnlyList<RolloutGroup>>([.. request.Prompts.Select((prompt, p) => new RolloutGroup(
                prompt,
                Ids(p, 24 + (8 * p)),
                [.. Enumerable.Range(0, request.GroupSize).Select(sample => new Completion(
                    Ids(100 + (10 * p) + sample, 96 - (6 * sample)), "", FinishReason.EndToken))]))]);

        private static int[] Ids(int seed, int count) =>
            [.. Enumerable.Range(0, count).Select(i => 1 + (int)(CounterRandom.Uniform((ulong)seed, i) * (Vocabulary - 1)))];
    }
}
