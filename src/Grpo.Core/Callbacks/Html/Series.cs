namespace Grpo.Callbacks;

/// <summary>One metric over the steps, in bounded memory: when the buckets run out, neighbours are joined and each holds twice as many steps.</summary>
internal sealed class Series
{
    /// <summary>More buckets than a chart has pixels would only make the page heavier. Even, so that joining leaves none behind.</summary>
    public const int Capacity = 400;

    // The square of what is plotted must not overflow: a diverging run reports numbers near float's limit.
    private const double Largest = 1e100;

    private readonly List<Bucket> _buckets = [];
    private long _stride = 1;

    public IReadOnlyList<Bucket> Buckets => _buckets;

    /// <summary>Whether a bucket stands for more than one step.</summary>
    public bool IsJoined => _stride > 1;

    public bool HasValues => _buckets.Exists(bucket => bucket.Count > 0);

    public double First => _buckets.Find(bucket => bucket.Count > 0).Mean;

    public double Last => _buckets.FindLast(bucket => bucket.Count > 0).Mean;

    /// <summary>Adds a step; a value that is not finite is a gap, not a zero.</summary>
    public void Add(long step, double? value)
    {
        Bucket next = value is { } number && double.IsFinite(number)
            ? new Bucket(step, step, 1, 1, Math.Clamp(number, -Largest, Largest))
            : new Bucket(step, step, 1, 0, 0);
        if (_buckets.Count > 0 && _buckets[^1].Steps < _stride)
        {
            _buckets[^1] = _buckets[^1].Join(next);
            return;
        }

        if (_buckets.Count == Capacity)
        {
            Halve();
        }

        _buckets.Add(next);
    }

    /// <summary>Gives the series as numbers.</summary>
    public SavedSeries Save() => new(_stride, [.. _buckets.Select(bucket =>
        new[] { bucket.FirstStep, bucket.LastStep, bucket.Steps, bucket.Count, bucket.Sum, bucket.Min, bucket.Max })]);

    /// <summary>Makes the series that <see cref="Save"/> gave.</summary>
    public static Series From(SavedSeries saved)
    {
        var series = new Series { _stride = saved.Stride };
        series._buckets.AddRange(saved.Buckets.Select(numbers =>
            new Bucket((long)numbers[0], (long)numbers[1], (long)numbers[2], (long)numbers[3], numbers[4])
            {
                Min = numbers[5],
                Max = numbers[6],
            }));
        return series;
    }

    private void Halve()
    {
        for (int i = 0; i < Capacity / 2; i++)
        {
            _buckets[i] = _buckets[2 * i].Join(_buckets[(2 * i) + 1]);
        }

        _buckets.RemoveRange(Capacity / 2, Capacity / 2);
        _stride *= 2;
    }
}

/// <summary>The values of some neighbouring steps.</summary>
/// <param name="FirstStep">The first step.</param>
/// <param name="LastStep">The last step.</param>
/// <param name="Steps">How many steps.</param>
/// <param name="Count">How many of them have a value.</param>
/// <param name="Sum">Sum of the values.</param>
internal readonly record struct Bucket(long FirstStep, long LastStep, long Steps, long Count, double Sum)
{
    public double Min { get; init; } = Count == 0 ? double.NaN : Sum;

    public double Max { get; init; } = Count == 0 ? double.NaN : Sum;

    public double Mean => Count == 0 ? double.NaN : Sum / Count;

    public double Center => (FirstStep + LastStep) / 2.0;

    public string Label => FirstStep == LastStep ? Numbers.Count(FirstStep) : $"{Numbers.Count(FirstStep)} to {Numbers.Count(LastStep)}";

    public Bucket Join(Bucket next) => new(FirstStep, next.LastStep, Steps + next.Steps, Count + next.Count, Sum + next.Sum)
    {
        Min = Smaller(Min, next.Min),
        Max = -Smaller(-Max, -next.Max),
    };

    private static double Smaller(double a, double b) => double.IsNaN(a) ? b : double.IsNaN(b) ? a : Math.Min(a, b);
}
