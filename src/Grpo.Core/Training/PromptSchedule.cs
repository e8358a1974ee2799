namespace Grpo.Training;

/// <summary>
/// Chooses the prompts of each step: the order of the seed, less the turns that <see cref="CurriculumMode.PassRate"/> passes over.
/// </summary>
/// <remarks>A function of seed, position and the pass rates on record, which all are part of a checkpoint.</remarks>
internal sealed class PromptSchedule
{
    private readonly IReadOnlyList<Prompt> _prompts;
    private readonly GrpoOptions _options;
    private readonly PassRateOptions? _passRates;
    private readonly PromptOrder _order;
    private readonly PromptOrder _reserveOrder;
    private readonly Dictionary<string, PassRate> _records = new(StringComparer.Ordinal);
    private long _position;

    /// <param name="prompts">The data set; the ids are unique.</param>
    /// <param name="options">Seed, prompts per step, sampling rounds.</param>
    /// <param name="passRates">Null: no curriculum.</param>
    public PromptSchedule(IReadOnlyList<Prompt> prompts, GrpoOptions options, PassRateOptions? passRates)
    {
        _prompts = prompts;
        _options = options;
        _passRates = passRates;
        _order = new PromptOrder(prompts.Count, options.Seed);

        // The reserve follows an order of its own, so that what luck makes a step use up moves no later step.
        _reserveOrder = new PromptOrder(prompts.Count, ~options.Seed);
    }

    /// <summary>Whether a curriculum is on.</summary>
    public bool IsAdaptive => _passRates is not null;

    /// <summary>Whether any completion was judged right or wrong so far; a curriculum without does nothing.</summary>
    public bool HasJudgments => _records.Values.Any(record => record.Rates.Count > 0);

    /// <summary>The position in the order; without a curriculum it follows from the step.</summary>
    public long Position => _position;

    /// <summary>What is on record, by prompt id.</summary>
    public IReadOnlyDictionary<string, PassRate> Records => _records;

    /// <summary>Starts without records where the plain order is at a step.</summary>
    public void Reset(long step)
    {
        _position = checked(step * _options.PromptsPerStep);
        _records.Clear();
    }

    /// <summary>Takes up records; those of prompts that are not in the data set are left out.</summary>
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

    /// <summary>The prompts of a step.</summary>
    /// <param name="step">Steps done.</param>
    public PromptDraw Draw(long step)
    {
        int wanted = _options.PromptsPerStep;
        int further = wanted * (_options.MaxSamplingRounds - 1);
        PromptDraw draw = _passRates is null || wanted >= _prompts.Count
            ? new PromptDraw
            {
                Indices = [.. Enumerable.Range(0, wanted).Select(i => _order.At(Start(step) + i))],
                Reserve = [],
                NextPosition = Start(step) + wanted,
            }
            : Walk(wanted);
        IEnumerable<int> reserve = further == 0
            ? []
            : _reserveOrder.At(step, further).Distinct().Except(draw.Indices).Where(index => Pause(index) == 0);
        return draw with { Reserve = [.. reserve] };
    }

    /// <summary>Records what a step that was drawn has sampled.</summary>
    /// <param name="draw">The draw.</param>
    /// <param name="step">The step's number, from 1.</param>
    /// <param name="groups">Everything sampled.</param>
    /// <returns>Null without a curriculum.</returns>
    public CurriculumReport? Commit(PromptDraw draw, long step, IReadOnlyList<ScoredGroup> groups)
    {
        if (_passRates is not { } options)
        {
            return null;
        }

        _position = draw.NextPosition;
        foreach ((int index, int turns) in draw.Skipped)
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

        // In the order of the data set, so that a sum after a resume is the same to the bit.
        PassRate[] known = [.. _prompts.Select(prompt => _records.GetValueOrDefault(prompt.Id)).OfType<PassRate>()
            .Where(record => record.Rates.Count > 0)];
        double[] paused = [.. known.Where(record => record.Pause > 0).Select(record => record.Rates.Average())];
        return new CurriculumReport
        {
            Skipped = draw.Skipped.Values.Sum(),
            Filled = draw.Filled,
            PausedSolved = paused.Count(rate => rate >= options.SolvedAt),
            PausedUnsolved = paused.Count(rate => rate < options.SolvedAt),
            MeanPassRate = known.Length == 0 ? null : known.Average(record => record.Rates.Average()),
        };
    }

    /// <summary>Goes past a step that failed and is not repeated.</summary>
    public void Abandon(PromptDraw draw) => _position = draw.NextPosition;

    private long Start(long step) => _passRates is null ? checked(step * _options.PromptsPerStep) : _position;

    private int Pause(int index) => _records.TryGetValue(_prompts[index].Id, out PassRate? record) ? record.Pause : 0;

    // Two epochs at most: within them every prompt has had its turn.
    private PromptDraw Walk(int wanted)
    {
        var chosen = new List<int>();
        var taken = new HashSet<int>();
        var skipped = new Dictionary<int, int>();
        long position = _position;
        for (long end = position + (2L * _prompts.Count); chosen.Count < wanted && position < end; position++)
        {
            int index = _order.At(position);
            if (taken.Contains(index))
            {
                continue; // two epochs meet in this step
            }

            int passed = skipped.GetValueOrDefault(index);
            if (Pause(index) > passed)
            {
                skipped[index] = passed + 1;
                continue;
            }

            chosen.Add(index);
            taken.Add(index);
        }

        int[] fill = [.. skipped.Keys.Except(taken).OrderBy(index => _records[_prompts[index].Id].LastStep).ThenBy(index => index)
            .Take(wanted - chosen.Count)];
        return new PromptDraw
        {
            Indices = [.. chosen, .. fill],
            Reserve = [],
            Skipped = skipped,
            Filled = fill.Length,
            NextPosition = position,
        };
    }
}
