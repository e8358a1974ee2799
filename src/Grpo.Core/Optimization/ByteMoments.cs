using Grpo.Tensors;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>
/// Moments in 8 bits (<see cref="EightBitBlocks"/>) on the device of the weights. One piece at a time is converted to float32 and updated.
/// </summary>
internal sealed class ByteMoments : AdamWMoments
{
    // Different phases, so that the two moments of a weight are not rounded up together.
    private const double FirstPhase = 0;
    private const double SecondPhase = 0.5;

    private readonly EightBitTensor[] _first;
    private readonly EightBitTensor[] _second;

    /// <summary>Creates moments that are zero.</summary>
    /// <param name="parameters">The trained parameters.</param>
    public ByteMoments(IReadOnlyList<(string Name, Parameter Parameter)> parameters)
        : base(parameters)
    {
        using var scope = TensorScope.BeginNoGrad();           // frees the first tensors if memory runs out
        _first = Zeros(EightBitBlocks.Signed);
        _second = Zeros(EightBitBlocks.Unsigned);
        foreach (EightBitTensor moment in _first.Concat(_second))
        {
            scope.Release(moment.Codes);
            scope.Release(moment.Scales);
        }
    }

    /// <inheritdoc/>
    public override IReadOnlyList<IAdamWUpdate> Prepare(
        IReadOnlyList<AdamWEntry> entries, long step, Func<IReadOnlyList<AdamWTensors>, IAdamWUpdate> fuse)
    {
        // All memory is allocated here, in the caller's scope, and all pieces share one set of buffers.
        Device device = entries[0].Weight.device;
        MomentStaging staging = MomentStaging.Allocate(entries.Max(entry => entry.Weight.numel()), device);
        Tensor firstThresholds = EightBitBlocks.Thresholds(step, FirstPhase, device),
            secondThresholds = EightBitBlocks.Thresholds(step, SecondPhase, device);
        var updates = new List<IAdamWUpdate>();
        foreach (AdamWEntry entry in entries)
        {
            Tensor weight = entry.Weight.detach().view(-1), gradient = entry.Gradient.view(-1);
            foreach ((long start, long length) in Pieces(weight.numel(), device))
            {
                MomentStaging staged = staging.Slice(length);
                EightBitTensor first = _first[entry.Index].Slice(start, length), second = _second[entry.Index].Slice(start, length);
                var piece = new AdamWTensors(
                    weight.narrow(0, start, length), gradient.narrow(0, start, length), staged.First.view(-1).narrow(0, 0, length),
                    staged.Second.view(-1).narrow(0, 0, length));
                updates.Add(new StagedUpdate(
                    load: () =>
                    {
                        EightBitBlocks.Signed.Decode(first, staged.First, staged.Scratch);
                        EightBitBlocks.Unsigned.Decode(second, staged.Second, staged.Scratch);
                    },
                    fuse([piece]),
                    store: () =>
                    {
                        EightBitBlocks.Signed.Encode(staged.First, first, firstThresholds, staged.Scratch);
                        EightBitBlocks.Unsigned.Encode(staged.Second, second, secondThresholds, staged.Scratch);
                    }));
            }
        }

        return updates;
    }

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, Tensor>> Tensors()
    {
        for (int i = 0; i < _first.Length; i++)
        {
            foreach (bool isSecond in new[] { false, true })
            {
                (string codes, string scales) = CodeNames(isSecond, Parameters[i].Name);
                EightBitTensor moment = (isSecond ? _second : _first)[i];
                yield return new(codes, moment.Codes);
                yield return new(scales, moment.Scales);
            }
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        foreach (EightBitTensor moment in _first.Concat(_second))
        {
            moment.Codes.Dispose();
            moment.Scales.Dispose();
        }
    }

    private protected override void Load(SafetensorsReader file, int index, bool isSecond, bool isInCodes)
    {
        string name = Parameters[index].Name;
        EightBitTensor moment = (isSecond ? _second : _first)[index];
        if (isInCodes)
        {
            (string codes, string scales) = CodeNames(isSecond, name);
            file.ReadInto(codes, moment.Codes);
            file.ReadInto(scales, moment.Scales);
            return;
        }

        Tensor values = file.Read(FloatName(isSecond, name)).view(-1);
        Device device = moment.Codes.device;
        MomentStaging staging = MomentStaging.Allocate(values.numel(), device);
        Tensor halves = EightBitBlocks.Halves(device);
        foreach ((long start, long length) in Pieces(values.numel(), device))
        {
            using var piece = TensorScope.BeginNoGrad();
            MomentStaging staged = staging.Slice(length);
            staged.First.zero_();
            staged.First.view(-1).narrow(0, 0, length).copy_(values.narrow(0, start, length));
            (isSecond ? EightBitBlocks.Unsigned : EightBitBlocks.Signed)
                .Encode(staged.First, moment.Slice(start, length), halves, staged.Scratch);
        }
    }

    private EightBitTensor[] Zeros(EightBitBlocks blocks) => [.. Parameters.Select(named =>
    {
        (Tensor codes, Tensor scales) = blocks.Zeros(named.Parameter.numel(), named.Parameter.device);
        return new EightBitTensor(codes, scales);
    })];
}
