using Grpo.Callbacks;
using Grpo.Checkpoints;
using Grpo.Core.Tests.Training;
using Grpo.Losses;
using Grpo.Testing;

namespace Grpo.Core.Tests.Callbacks;

/// <summary>A short run of the toy with a recorder and a checkpoint after every step, and fresh models to replay it with.</summary>
internal sealed class RecordedRun : IDisposable
{
    public const long Steps = 4;

    private readonly TemporaryFolder _folder = new();
    private readonly List<BigramPolicy> _policies = [];

    public RecordedRun(GrpoOptions options) => Options = options;

    public GrpoOptions Options { get; }

    public PolicyGroupSampler Sampler { get; init; } = Toy.Sampler;

    public string Output => _folder["run"];

    public string File => Path.Combine(Output, "flight.bin");

    public string Checkpoints => _folder["checkpoints"];

    /// <summary>What can differ between methods, each case with something of its own in the record.</summary>
    public static IReadOnlyDictionary<string, GrpoOptions> Cases { get; } = new Dictionary<string, GrpoOptions>
    {
        ["default"] = Toy.Options,
        ["two updates, reference that moves, adaptive KL"] = Toy.Options with
        {
            UpdatesPerRollout = 2,
            KlCoefficient = 0.1,
            KlTarget = 0.05,
            ReferenceSyncEvery = 2,
            WeightDecay = 0.01,
        },
        ["dynamic sampling"] = Toy.Options with { MaxSamplingRounds = 3, GroupSize = 2, PromptsPerStep = 2 },
        ["truncated completions masked"] = Toy.Options with { MaskTruncatedCompletions = true, UpdatesPerRollout = 3 },
        ["entropies"] = Toy.Options with { TopEntropyFraction = 0.5, EntropyCoefficient = 0.01, UpdatesPerRollout = 2 },
        ["KL in the reward"] = Toy.Options with
        {
            KlCoefficient = 0.1,
            KlEstimator = KlEstimator.K1InReward,
            Reduction = LossReduction.SequenceMean,
        },
        ["each reward normalized by itself"] = Toy.Options with { Advantage = new PerRewardNormalizedAdvantage() },
        ["a prompt twice"] = Toy.Options with { PromptsPerStep = 6 },
    };

    public BigramPolicy NewPolicy(ulong seed = 11)
    {
        BigramPolicy policy = Toy.Policy(seed);
        _policies.Add(policy);
        return policy;
    }

    public BigramPolicy NewReference() => NewPolicy(seed: 12);

    /// <summary>Trains; a resumed one takes up where the checkpoints end.</summary>
    /// <param name="record">With a recorder.</param>
    /// <param name="after">Hears of a step after it was recorded and before its checkpoint.</param>
    /// <param name="checkpointEvery">Steps.</param>
    public async Task<BigramPolicy> TrainAsync(
        bool record = true, Action<TrainingStep>? after = null, long checkpointEvery = 1, bool resume = true)
    {
        BigramPolicy policy = NewPolicy();
        using var optimizer = new GrpoOptimizer(policy, Sampler, new JudgeReward(), Options, NewReference());
        using FlightRecorder? recorder = record ? new FlightRecorder(Output, new Dictionary<string, string> { ["model"] = "toy" }) : null;
        var steps = new RecordingCallback([]) { OnStep = (report, _) => after?.Invoke(report) };
        var services = new TrainerServices
        {
            Checkpoints = new DirectoryCheckpointStore(Checkpoints, keepLast: 99),
            Callbacks = recorder is null ? [steps] : [recorder, steps],
        };
        await new GrpoTrainer(
            optimizer, Toy.Prompts, new TrainerOptions { Steps = Steps, CheckpointEvery = checkpointEvery, Resume = resume }, services)
            .TrainAsync();
        return policy;
    }

    /// <summary>A replay with models of their own.</summary>
    public FlightReplay NewReplay(GrpoOptions? options = null) => new(NewPolicy(), options ?? Options, NewReference());

    public void Dispose()
    {
        _policies.ForEach(policy => policy.Dispose());
        _folder.Dispose();
    }

    // Abstentions, parts with weights, verdicts and judgments: all that a record has to keep.
    private static Reward Judge(Prompt prompt, Completion completion)
    {
        if (completion.Text.StartsWith('h'))
        {
            return Reward.Abstain;
        }

        int letters = completion.Text.Count(letter => letter == 'a');
        return new Reward((2 * letters) - (0.1 * completion.Text.Length))
        {
            Components = new Dictionary<string, double?> { ["letters"] = letters, ["length"] = completion.Text.Length, ["none"] = null },
            Verdict = letters > 0 ? "Found" : "Missed",
            IsCorrect = letters > 0,
            Answer = completion.Text,
        };
    }

    private sealed class JudgeReward : CompletionReward, IWeightedReward
    {
        public IReadOnlyDictionary<string, double>? PartWeights { get; } = new Dictionary<string, double>
        {
            ["letters"] = 2,
            ["length"] = -0.1,
        };

        public override Reward Score(Prompt prompt, Completion completion) => Judge(prompt, completion);
    }
}
