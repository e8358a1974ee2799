namespace Grpo.Callbacks;

/// <summary>
/// A metric over the steps in bounded memory. When the buckets run out, neighbors are joined, and each holds twice as many steps.
/// </summary>
internal sealed class Series
{
    /// <summary>The maximum number of buckets: about the pixels of a chart, and even, so that all buckets can be joined in pairs.</summary>
    public const int Capacity = 400;

    // Values are clamped so that their squares do not overflow. A diverging run reports numbers near the limit of float.
    private const double Largest = 1e100;

    private readonly List<Bucket> _buckets = [];
    private long _stride = 1;

    public IReadOnlyList<Bucket> Buckets => _buckets;

    /// <summary>True if a bucket holds more than one step.</summary>
    public bool IsJoined => _stride > 1;

    public bool HasValues => _buckets.Exists(bucket => bucket.Count > 0);

    public double First => _buckets.Find(bucket => bucket.Count > 0).Mean;

    public double Last => _buckets.FindLast(bucket => bucket.Count > 0).Mean;

    /// <summary>Adds the value of a step. A value that is not finite is a gap, not a zero.</summary>
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

    /// <summary>Returns the saved form of the series.</summary>
    public SavedSeries Save() => new(_stride, [.. _buckets.Select(bucket =>
        new[] { bucket.FirstStep, bucket.LastStep, bucket.Steps, bucket.Count, bucket.Sum, bucket.Min, bucket.Max })]);

    /// <summary>Restores a series from the form that <see cref="Save"/> returned.</summary>
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

/// <summary>The values of consecutive steps.</summary>
/// <param name="FirstStep">The first step.</param>
/// <param name="LastStep">The last step.</param>
/// <param name="Steps">The number of steps.</param>
/// <param name="Count">The number of steps that have a value.</param>
/// <param name="Sum">The sum of the values.</param>
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
