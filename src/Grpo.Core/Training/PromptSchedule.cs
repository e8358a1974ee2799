namespace Grpo.Training;

/// <summary>
/// The schedule of a run's prompts: a shuffled order from the seed, without the turns that <see cref="CurriculumMode.PassRate"/> skips.
/// </summary>
/// <remarks>
/// The prompts of a step depend only on the seed, the position and the recorded pass rates, all of which checkpoints hold.
/// </remarks>
internal sealed class PromptSchedule
{
    private readonly IReadOnlyList<Prompt> _prompts;
    private readonly GrpoOptions _options;
    private readonly PassRateOptions? _passRates;
    private readonly PromptOrder _order;
    private readonly PromptOrder _reserveOrder;
    private readonly Dictionary<string, PassRate> _records = new(StringComparer.Ordinal);
    private long _position;

    /// <summary>Creates a schedule at step 0.</summary>
    /// <param name="prompts">The data set. The ids are unique.</param>
    /// <param name="options">The options with the seed, the prompts per step and the sampling rounds.</param>
    /// <param name="passRates">The options of the curriculum; null for no curriculum.</param>
    public PromptSchedule(IReadOnlyList<Prompt> prompts, GrpoOptions options, PassRateOptions? passRates)
    {
        _prompts = prompts;
        _options = options;
        _passRates = passRates;
        _order = new PromptOrder(prompts.Count, options.Seed);

        // The reserve has its own order, so that the number of reserve prompts that a step uses does not shift later steps.
        _reserveOrder = new PromptOrder(prompts.Count, ~options.Seed);
    }

    /// <summary>True if a curriculum is on.</summary>
    public bool IsAdaptive => _passRates is not null;

    /// <summary>True if any completion was judged so far. Without judgments a curriculum does nothing.</summary>
    public bool HasJudgments => _records.Values.Any(record => record.Rates.Count > 0);

    /// <summary>The position in the order. Without a curriculum it follows from the step.</summary>
    public long Position => _position;

    /// <summary>The recorded pass rates by prompt id.</summary>
    public IReadOnlyDictionary<string, PassRate> Records => _records;

    /// <summary>Clears the records and moves to the position of a step in the plain order.</summary>
    public void Reset(long step)
    {
        _position = checked(step * _options.PromptsPerStep);
        _records.Clear();
    }

    /// <summary>Restores a position and records. Records of prompts that are not in the data set are left out.</summary>
    public void Restore(long position, IReadOnlyDictionary<string, PassRate> records)
    {
        _position = position;
        _records.Clear();
        foreach (Prompt prompt in _prompts)
        {
            if (records.TryGetValue(prompt.Id, out PassRate? record))
            {
                _records[prompt.Id] = record;
            }
        }
    }

    /// <summary>Chooses the prompts of a step. Nothing changes, so a failed step gets equal prompts when it is repeated.</summary>
    /// <param name="step">The number of steps done.</param>
    public PromptChoice Choose(long step)
    {
        int wanted = _options.PromptsPerStep;
        int further = wanted * (_options.MaxSamplingRounds - 1);
        PromptChoice choice = _passRates is null || wanted >= _prompts.Count
            ? new PromptChoice
            {
                Indices = [.. Enumerable.Range(0, wanted).Select(i => _order.At(Start(step) + i))],
                Reserve = [],
                NextPosition = Start(step) + wanted,
            }
            : ChooseByPassRate(wanted);
        IEnumerable<int> reserve = further == 0
            ? []
            : _reserveOrder.At(step, further).Distinct().Except(choice.Indices).Where(index => Pause(index) == 0);
        return choice with { Reserve = [.. reserve] };
    }

    /// <summary>Moves past a step that is done and records the pass rates of its groups.</summary>
    /// <param name="choice">The prompts that were chosen for the step.</param>
    /// <param name="step">The number of the step, from 1.</param>
    /// <param name="groups">All groups that the step sampled.</param>
    /// <returns>The report of the curriculum; null without a curriculum.</returns>
    public CurriculumReport? Commit(PromptChoice choice, long step, IReadOnlyList<ScoredGroup> groups)
    {
        if (_passRates is not { } options)
        {
            return null;
        }

        _position = choice.NextPosition;
        foreach ((int index, int turns) in choice.Skipped)
        {
            PassRate record = _records[_prompts[index].Id];
            _records[_prompts[index].Id] = record with { Pause = record.Pause - turns };
        }

        foreach (ScoredGroup group in groups)
        {
            PassRate record = (_records.GetValueOrDefault(group.Group.Prompt.Id) ?? PassRate.Unknown) with { LastStep = step };
            bool[] judged = [.. group.Rewards.Where(reward => reward.Value is not null).Select(reward => reward.IsCorrect).OfType<bool>()];
            _records[group.Group.Prompt.Id] = judged.Length == 0
                ? record
                : record.After(judged.Count(correct => correct) / (double)judged.Length, options);
        }

        // Sum in the order of the data set, so that the mean after a resume is equal to the last bit.
        PassRate[] known = [.. _prompts.Select(prompt => _records.GetValueOrDefault(prompt.Id)).OfType<PassRate>()
            .Where(record => record.Rates.Count > 0)];
        double[] paused = [.. known.Where(record => record.Pause > 0).Select(record => record.Rates.Average())];
        return new CurriculumReport
        {
            Skipped = choice.Skipped.Values.Sum(),
            Filled = choice.Filled,
            PausedSolved = paused.Count(rate => rate >= options.SolvedAt),
            PausedUnsolved = paused.Count(rate => rate < options.SolvedAt),
            MeanPassRate = known.Length == 0 ? null : known.Average(record => record.Rates.Average()),
        };
    }

    /// <summary>Moves past a step that failed and is not repeated.</summary>
    public void Abandon(PromptChoice choice) => _position = choice.NextPosition;

    private long Start(long step) => _passRates is null ? checked(step * _options.PromptsPerStep) : _position;

    private int Pause(int index) => _records.TryGetValue(_prompts[index].Id, out PassRate? record) ? record.Pause : 0;

    // Looks at two epochs at most, in which every prompt has a turn.
    private PromptChoice ChooseByPassRate(int wanted)
    {
        var chosen = new List<int>();
        var used = new HashSet<int>();
        var skipped = new Dictionary<int, int>();
        long position = _position;
        for (long end = position + (2L * _prompts.Count); chosen.Count < wanted && position < end; position++)
        {
            int index = _order.At(position);
            if (used.Contains(index))
            {
                continue; // two epochs meet in this step
            }

            int turns = skipped.GetValueOrDefault(index);
            if (Pause(index) > turns)
            {
                skipped[index] = turns + 1;
                continue;
            }

            chosen.Add(index);
            used.Add(index);
        }

        int[] fill = [.. skipped.Keys.Except(used).OrderBy(index => _records[_prompts[index].Id].LastStep).ThenBy(index => index)
            .Take(wanted - chosen.Count)];
        return new PromptChoice
        {
            Indices = [.. chosen, .. fill],
            Reserve = [],
            Skipped = skipped,
            Filled = fill.Length,
            NextPosition = position,
        };
    }
}

/// <summary>The prompts that are chosen for one step.</summary>
internal sealed record PromptChoice
{
    /// <summary>The indices of the prompts in the data set.</summary>
    public required IReadOnlyList<int> Indices { get; init; }

    /// <summary>The indices of the further prompts for dynamic sampling, in their order.</summary>
    public required IReadOnlyList<int> Reserve { get; init; }

    /// <summary>The number of skipped turns by the index of the prompt.</summary>
    public IReadOnlyDictionary<int, int> Skipped { get; init; } = new Dictionary<int, int>();

    /// <summary>The number of prompts that were skipped first and then used because there were too few others.</summary>
    public int Filled { get; init; }

    /// <summary>The position in the order at which the next step starts.</summary>
    public long NextPosition { get; init; }
}

/// <summary>The record of one prompt in the curriculum.</summary>
/// <param name="Rates">
/// The fractions of correct completions in the last groups, oldest first. At most <see cref="PassRateOptions.PassRateWindow"/>.
/// </param>
/// <param name="Pause">The number of turns that are still to be skipped.</param>
/// <param name="LastPause">The length of the last pause. 0 if the last group was between the bounds.</param>
/// <param name="LastStep">The last step that sampled the prompt, from 1.</param>
internal sealed record PassRate(IReadOnlyList<double> Rates, int Pause, int LastPause, long LastStep)
{
    /// <summary>The record of a prompt that was never sampled.</summary>
    public static PassRate Unknown { get; } = new([], 0, 0, 0);

    /// <summary>Returns the record after another group, of which a fraction <paramref name="rate"/> was correct.</summary>
    public PassRate After(double rate, PassRateOptions options)
    {
        double[] rates = [.. Rates.Append(rate).TakeLast(options.PassRateWindow)];
        double mean = rates.Average();
        bool atBound = rates.Length == options.PassRateWindow && (mean >= options.SolvedAt || mean <= options.UnsolvedAt);
        int pause = atBound ? Math.Min(Math.Max(1, 2 * LastPause), options.LongestPause) : 0;
        return this with { Rates = rates, Pause = pause, LastPause = pause };
    }
}

/// <summary>The effect of <see cref="CurriculumMode.PassRate"/> on one step.</summary>
public sealed record CurriculumReport
{
    /// <summary>The number of turns that were skipped to find the prompts of the step.</summary>
    public required int Skipped { get; init; }

    /// <summary>The number of paused prompts that the step used because there were too few others.</summary>
    public required int Filled { get; init; }

    /// <summary>The number of prompts that are paused after the step because they are solved.</summary>
    public required int PausedSolved { get; init; }

    /// <summary>The number of prompts that are paused after the step because they are out of reach.</summary>
    public required int PausedUnsolved { get; init; }

    /// <summary>The mean pass rate of all prompts that were judged so far, including paused ones. Null if none was judged.</summary>
    public required double? MeanPassRate { get; init; }
}
