using System.Globalization;
using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.Tensors;
using Grpo.Testing;
using Grpo.Training;
using Microsoft.Extensions.Logging;

namespace Grpo.Core.Tests.Training;

/// <summary>A run of ten steps, every plug-in of which can be made to throw, and what it leaves behind.</summary>
internal sealed class EndedRun : IDisposable
{
    public const long Steps = 10;

    private readonly BigramPolicy _policy = Toy.Policy();
    private readonly BigramPolicy _reference = Toy.Policy();

    /// <summary>Called with the name of a plug-in and the number of steps done, at the start of each of its calls.</summary>
    public Action<string, long> At { get; init; } = (_, _) => { };

    public RecordingCallback Callback { get; } = new([]);

    public ListLogger<GrpoTrainer> Log { get; } = new();

    public TrainerOptions Options { get; init; } = new() { Steps = Steps, EvaluateEvery = 2, Resume = true };

    public GrpoOptions Grpo { get; init; } = Toy.Options with { KlCoefficient = 0.1 };

    public ILogger<GrpoOptimizer>? OptimizerLog { get; init; }

    /// <summary>Trains in a folder, from its newest checkpoint where it has one.</summary>
    /// <param name="folder">The folder of the checkpoints.</param>
    /// <param name="body">Runs after each step, as the body of the loop; false leaves it.</param>
    public async Task TrainAsync(string folder, Func<TrainingStep, bool>? body = null)
    {
        long done = 0;
        _policy.OnLogProbs = () => At("policy", done);
        _reference.OnLogProbs = () => At("reference", done);
        IRewardFunction reward = new Toy.TestReward((prompt, completion) =>
        {
            At("reward", done);
            return new Toy.LetterReward().Score(prompt, completion);
        });
        using var optimizer = new GrpoOptimizer(
            new GrpoPlugIns(_policy, new Sampler(this), reward) { Reference = _reference }, Grpo, OptimizerLog);
        var services = new TrainerServices
        {
            Evaluator = new Evaluator(this, () => done),
            Checkpoints = new DirectoryCheckpointStore(folder) { Probe = stage => At($"store {stage}", done) },
            Callbacks = [new Hook(this, step => done = step), Callback],
        };
        await foreach (TrainingStep report in new GrpoTrainer(optimizer, Toy.Prompts, Options, services, Log).RunAsync())
        {
            if (body?.Invoke(report) == false)
            {
                break;
            }
        }
    }

    /// <summary>Makes the policy one that gives no numbers.</summary>
    public void Poison()
    {
        using var scope = TensorScope.BeginNoGrad();
        _policy.Table.fill_(float.NaN);
    }

    /// <summary>The newest checkpoint of a folder, as the number of its step; −1 where there is none.</summary>
    public static async Task<long> LatestAsync(string folder) =>
        await new DirectoryCheckpointStore(folder).FindLatestAsync() is { } latest
            ? long.Parse(latest[^6..], CultureInfo.InvariantCulture)
            : -1;

    /// <summary>All files of the checkpoint of the last step, byte by byte.</summary>
    public static string Describe(string folder)
    {
        string last = Path.Combine(folder, FormattableString.Invariant($"checkpoint-{Steps:D6}"));
        return string.Join('\n', Directory.GetFiles(last).Order(StringComparer.Ordinal)
            .Select(file => $"{Path.GetFileName(file)} {Convert.ToHexString(File.ReadAllBytes(file))}"));
    }

    public void Dispose()
    {
        _policy.Dispose();
        _reference.Dispose();
    }

    private sealed class Sampler(EndedRun run) : IGroupSampler
    {
        public ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(
            IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default)
        {
            run.At("sampler", request.Step);
            return Toy.Sampler.SampleAsync(policy, request, cancellationToken);
        }
    }

    private sealed class Evaluator(EndedRun run, Func<long> step) : IEvaluator
    {
        public ValueTask<EvaluationReport> EvaluateAsync(IPolicy policy, CancellationToken cancellationToken = default)
        {
            run.At("evaluator", step());
            return ValueTask.FromResult(new EvaluationReport { Count = 10, Accuracy = 0.5, MeanReward = 0.5 });
        }
    }

    private sealed class Hook(EndedRun run, Action<long> done) : ITrainingCallback
    {
        private long _step;

        public ValueTask OnStartAsync(TrainingStart start, CancellationToken cancellationToken = default) =>
            Pass("OnStart", start.FirstStep);

        public ValueTask OnStepAsync(TrainingStep report, CancellationToken cancellationToken = default) => Pass("OnStep", report.Step);

        public ValueTask OnEvaluationAsync(long step, EvaluationReport evaluation, CancellationToken cancellationToken = default) =>
            Pass("OnEvaluation", step);

        public ValueTask OnEndAsync(TrainingSummary summary) => Pass("OnEnd", _step);

        private ValueTask Pass(string place, long step)
        {
            _step = step;
            done(step);
            run.At(place, step);
            return ValueTask.CompletedTask;
        }
    }
}
