using Grpo.Callbacks;
using Grpo.Optimization;
using Grpo.Tensors;
using Grpo.Testing;
using TorchSharp;

namespace Grpo.Core.Tests;

/// <summary>A whole training set-up that runs in milliseconds: eight letters, four prompts, completions of at most six tokens.</summary>
internal static class Toy
{
    public static CharTokenizer Tokenizer { get; } = new("abcdefgh");

    public static int Vocabulary => Tokenizer.VocabularySize;

    /// <summary>Prompts whose last letters differ, so that a row that is mixed up with another shows.</summary>
    public static IReadOnlyList<Prompt> Prompts { get; } =
        [Prompt.Create("p0", "b"), Prompt.Create("p1", "dec"), Prompt.Create("p2", "ad"), Prompt.Create("p3", "hge")];

    public static PolicyGroupSampler Sampler { get; } = new(Tokenizer, new PlainTemplate());

    public static BigramPolicy Policy(ulong seed = 11) => new(Vocabulary, seed);

    public static GrpoOptions Options => new()
    {
        GroupSize = 6,
        PromptsPerStep = 2,
        LearningRate = 0.05,
        MicroBatchSize = 5,
        Sampling = new SamplingOptions { MaxCompletionTokens = 6, MaxPromptTokens = 8 },
    };

    /// <summary>The request that a step of <see cref="Options"/> makes.</summary>
    public static RolloutRequest Request(params IReadOnlyList<Prompt> prompts) =>
        new() { Prompts = prompts, GroupSize = 6, Sampling = Options.Sampling, Seed = 42, Step = 3 };

    /// <summary>A group of completions given by their letters; a dot is the end token.</summary>
    public static RolloutGroup Group(Prompt prompt, params IReadOnlyList<string> completions) => new(
        prompt,
        Tokenizer.Encode(prompt.Messages[^1].Text),
        [.. completions.Select(text => new Completion(
            [.. text.Select(letter => letter == '.' ? CharTokenizer.End : Tokenizer.Id(letter))],
            text.TrimEnd('.'),
            text.EndsWith('.') ? FinishReason.EndToken : FinishReason.Truncated))]);

    /// <summary>Scores a group by hand.</summary>
    public static ScoredGroup Scored(RolloutGroup group, params IReadOnlyList<double> advantages) =>
        new(group, [.. advantages.Select(Reward.ToReward)], advantages);

    /// <summary>The share of the letter a.</summary>
    public sealed class LetterReward : CompletionReward
    {
        public override Reward Score(Prompt prompt, Completion completion) =>
            completion.Text.Length == 0 ? 0 : completion.Text.Count(letter => letter == 'a') / (double)completion.Text.Length;
    }

    /// <summary>A reward written in a test.</summary>
    public sealed class TestReward(Func<Prompt, Completion, Reward> score) : CompletionReward
    {
        public override Reward Score(Prompt prompt, Completion completion) => score(prompt, completion);
    }

    /// <summary>
    /// The gradient of the last update, read from the first moment that AdamW saves: with β₁ = 0 it is the gradient itself.
    /// </summary>
    public static float[] SavedMoment(GrpoOptimizer optimizer, string name = "exp_avg.table")
    {
        using var folder = new TemporaryFolder();
        optimizer.Save(folder.Path);
        using SafetensorsReader reader = SafetensorsReader.Open(folder["optimizer.safetensors"]);
        using var scope = TensorScope.Begin();
        using torch.Tensor moment = reader.Read(name);
        return [.. moment.data<float>()];
    }

    /// <summary>A report as text, without the times: equal texts are equal reports, to the last bit of every number.</summary>
    public static string Describe(StepReport report)
    {
        IEnumerable<string> metrics = MetricsOf(report).Select(metric => FormattableString.Invariant($"{metric.Key}={metric.Value:R}"));
        IEnumerable<string> completions = report.Groups.SelectMany(group => group.Group.Completions.Select((completion, i) => string.Join(
            ':',
            group.Group.Prompt.Id,
            completion.Text,
            completion.FinishReason,
            FormattableString.Invariant($"{group.Rewards[i].Value:R}:{group.Advantages[i]:R}"),
            string.Join(',', completion.LogProbs ?? []))));
        return string.Join('\n', metrics.Concat(completions));
    }

    /// <summary>A step that a recorder observes, as a trainer does it.</summary>
    public static async Task<TrainingStep> RecordedStepAsync(GrpoOptimizer optimizer, FlightRecorder recorder)
    {
        IStepObserver observer = ((IStepObserverFactory)recorder).Observe(optimizer.Policy, optimizer.Options.Seed);
        return new TrainingStep(await optimizer.StepAsync(Prompts, [], [observer], CancellationToken.None));
    }

    private static IEnumerable<KeyValuePair<string, double>> MetricsOf(StepReport report) =>
        StepMetrics.From(report).Where(metric => !metric.Key.StartsWith("time/", StringComparison.Ordinal));
}
