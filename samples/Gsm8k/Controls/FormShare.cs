using Grpo.Rewards;

namespace Grpo.Samples.Gsm8k;

/// <summary>The share of sampled completions that have the requested form, in the first and in the last steps of a run.</summary>
internal sealed class FormShare : ITrainingCallback
{
    private const int Steps = 3; // of 128 completions each, so a share is known to about 2.5 points

    private readonly FormatReward _form = new();
    private readonly List<double> _first = [];
    private readonly Queue<double> _last = new();

    public double First => _first.Average();

    public double Last => _last.Average();

    public ValueTask OnStepAsync(TrainingStep step, CancellationToken cancellationToken = default)
    {
        double share = step.Report.Groups.Average(
            group => group.Group.Completions.Average(completion => _form.Score(group.Group.Prompt, completion).Value!.Value));
        if (_first.Count < Steps)
        {
            _first.Add(share);
        }

        _last.Enqueue(share);
        if (_last.Count > Steps)
        {
            _last.Dequeue();
        }

        return ValueTask.CompletedTask;
    }
}
