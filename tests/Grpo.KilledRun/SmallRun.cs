using Grpo.Callbacks;
using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.Optimization;
using Grpo.Testing;
using Grpo.Training;
using Microsoft.Extensions.Logging;

namespace Grpo.KilledRun;

/// <summary>
/// A training run of a few seconds with all state that a checkpoint must hold.
/// </summary>
/// <remarks>
/// It has moments, a learning-rate schedule, an adaptive KL coefficient, a reference model that moves, gradient norms, a curriculum,
/// dynamic sampling, evaluations, the best checkpoint and a roll-back.
/// </remarks>
public sealed class SmallRun : IDisposable
{
    /// <summary>The number of steps of the whole run.</summary>
    public const long Steps = 9;

    private static readonly CharTokenizer Tokenizer = new("abcdefgh");
    private static readonly Prompt[] Prompts =
    [
        Prompt.Create("p0", "b"), Prompt.Create("p1", "dec"), Prompt.Create("p2", "ad"), Prompt.Create("p3", "hge"),
        Prompt.Create("p4", "gg"),
    ];

    private readonly string _folder;
    private readonly Fuse _fuse;
    private readonly ILogger<DirectoryCheckpointStore>? _logger;
    private readonly BigramPolicy _policy = new(Tokenizer.VocabularySize, seed: 11);
    private readonly BigramPolicy _reference = new(Tokenizer.VocabularySize, seed: 11);
    private readonly GrpoOptimizer _optimizer;

    /// <summary>True if the run writes report.html, and evaluations have completions to show in it.</summary>
    public bool HasReport { get; init; }

    /// <summary>Sets up the run without reading or writing anything.</summary>
    /// <param name="folder">The folder that the run writes to and resumes from.</param>
    /// <param name="fuse">The fuse that ends the process at some place, or null for none.</param>
    /// <param name="logger">The logger that receives warnings of damaged checkpoints.</param>
    public SmallRun(string folder, Fuse? fuse = null, ILogger<DirectoryCheckpointStore>? logger = null)
    {
        _folder = folder;
        _fuse = fuse ?? Fuse.Counting();
        _logger = logger;
        _policy.OnAdvance = () => _fuse.Pass("rollout");
        _policy.OnLogProbs = () => _fuse.Pass("update");
        _policy.OnSaved = () => _fuse.Pass("checkpoint: weights");
        IRewardFunction reward = RewardFunction.Create("letters", (prompt, completion) =>
        {
            _fuse.Pass("scoring");
            int letters = completion.Text.Count(letter => letter == 'a');
            return new Reward(letters) { IsCorrect = prompt.Id == "p0" || (prompt.Id != "p1" && letters > 0) };
        });
        var options = new GrpoOptions
        {
            GroupSize = 4,
            PromptsPerStep = 2,
            MaxSamplingRounds = 2,
            UpdatesPerRollout = 2,
            MicroBatchSize = 3,
            LearningRate = 0.05,
            Schedule = LearningRateSchedule.Cosine,
            WarmupSteps = 3,
            ScheduleSteps = 18,
            WeightDecay = 0.01,
            KlCoefficient = 0.1,
            KlTarget = 0.05,
            ReferenceSyncEvery = 4,
            Sampling = new SamplingOptions { MaxCompletionTokens = 6, MaxPromptTokens = 8 },
        };
        _optimizer = new GrpoOptimizer(_policy, new PolicyGroupSampler(Tokenizer, new PlainTemplate()), reward, options, _reference);
    }

    /// <summary>Resumes from the state in the folder and trains to the end.</summary>
    /// <param name="cancellationToken">Stops the run.</param>
    public async Task<TrainingSummary> TrainAsync(CancellationToken cancellationToken = default)
    {
        using var files = new JsonLinesLogger(_folder);
        return await Trainer(files).TrainAsync(cancellationToken);
    }

    /// <summary>Resumes from the state in the folder, runs some steps and leaves the loop over them.</summary>
    /// <param name="steps">The number of steps to run.</param>
    public async Task LeaveAsync(int steps)
    {
        using var files = new JsonLinesLogger(_folder);
        await foreach (TrainingStep _ in Trainer(files).RunAsync())
        {
            if (--steps == 0)
            {
                break;
            }
        }
    }

    private GrpoTrainer Trainer(JsonLinesLogger files)
    {
        var store = new DirectoryCheckpointStore(Path.Combine(_folder, "checkpoints"), keepLast: 3, _logger)
        {
            Probe = stage => _fuse.Pass($"checkpoint: {stage}"),
        };
        var options = new TrainerOptions
        {
            Steps = Steps,
            EvaluateEvery = 2,
            CheckpointEvery = 3,
            Resume = true,
            Curriculum = CurriculumMode.PassRate,
            PassRates = new PassRateOptions { PassRateWindow = 1 },
            Guard = new CollapseGuard { OnCollapse = CollapseAction.RollBack, MaxRollBacks = 1 },
        };
        var services = new TrainerServices
        {
            Evaluator = new StepEvaluator(_optimizer, _fuse) { HasCompletions = HasReport },
            Checkpoints = store,
            Callbacks =
            [
                new PassingCallback(_fuse, "before the log"),
                files,
                .. HasReport ? new ITrainingCallback[] { Report() } : [],
                new PassingCallback(_fuse, "after the log"),
            ],
        };
        return new GrpoTrainer(_optimizer, Prompts, options, services);
    }

    private HtmlReport Report() =>
        new(Path.Combine(_folder, "report.html"), [new("Model", "toy")], new TokenDetails(_reference, Tokenizer));

    /// <inheritdoc/>
    public void Dispose()
    {
        _optimizer.Dispose();
        _policy.Dispose();
        _reference.Dispose();
    }

    /// <summary>
    /// An evaluator whose accuracy depends on the step: better at 4, collapsed at 6, best at 8. Each evaluation has two places.
    /// </summary>
    private sealed class StepEvaluator(GrpoOptimizer optimizer, Fuse fuse) : IEvaluator
    {
        public bool HasCompletions { get; init; }

        public async ValueTask<EvaluationReport> EvaluateAsync(IPolicy policy, CancellationToken cancellationToken = default)
        {
            fuse.Pass("evaluation");
            await Task.Yield();
            fuse.Pass("evaluation");
            double accuracy = optimizer.Step switch { 4 => 0.6, 6 => 0.1, 8 => 0.7, _ => 0.5 };
            return new EvaluationReport
            {
                Count = 512,
                Accuracy = accuracy,
                Groups = HasCompletions ? [.. Prompts.Select(prompt => new RolloutGroup(prompt, [2], [Completion(prompt)]))] : [],
                Rewards = HasCompletions
                    ? [.. Prompts.Select((_, i) => new Reward(i) { Verdict = "Given", IsCorrect = i < 5 * accuracy })]
                    : [],
            };
        }

        private Completion Completion(Prompt prompt) => new([3], $"{prompt.Id} after step {optimizer.Step}", FinishReason.EndToken);
    }

    private sealed class PassingCallback(Fuse fuse, string place) : ITrainingCallback
    {
        public ValueTask OnStepAsync(TrainingStep report, CancellationToken cancellationToken = default)
        {
            fuse.Pass(place);
            return ValueTask.CompletedTask;
        }
    }
}
