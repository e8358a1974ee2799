using Grpo.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>Float32 moments, on the device of the weights or in main memory.</summary>
internal sealed class FloatMoments : AdamWMoments
{
    private readonly Tensor[] _first;
    private readonly Tensor[] _second;
    private readonly bool _inMainMemory;

    /// <summary>Creates moments that are zero.</summary>
    /// <param name="parameters">The trained parameters.</param>
    /// <param name="inMainMemory">True if the moments stay in main memory while the weights are on another device.</param>
    public FloatMoments(IReadOnlyList<(string Name, Parameter Parameter)> parameters, bool inMainMemory)
        : base(parameters)
    {
        _inMainMemory = inMainMemory;
        using var scope = TensorScope.BeginNoGrad();           // frees the first tensors if memory runs out
        _first = Zeros();
        _second = Zeros();
        foreach (Tensor moment in _first.Concat(_second))
        {
            scope.Release(moment);
        }
    }

    /// <summary>True if moments are always copied to buffers, so that a machine without a GPU can test this path.</summary>
    internal bool AlwaysStages { get; init; }

    /// <inheritdoc/>
    public override IReadOnlyList<IAdamWUpdate> Prepare(
        IReadOnlyList<AdamWEntry> entries, long step, Func<IReadOnlyList<AdamWTensors>, IAdamWUpdate> fuse)
    {
        Device device = entries[0].Weight.device;
        return AlwaysStages || (_inMainMemory && device.type != DeviceType.CPU)
            ? PrepareStaged(entries, device, fuse)
            : [fuse(
                [.. entries.Select(entry => new AdamWTensors(entry.Weight, entry.Gradient, _first[entry.Index], _second[entry.Index]))])];
    }

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, Tensor>> Tensors()
    {
        for (int i = 0; i < _first.Length; i++)
        {
            yield return new(FloatName(isSecond: false, Parameters[i].Name), _first[i]);
            yield return new(FloatName(isSecond: true, Parameters[i].Name), _second[i]);
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        foreach (Tensor moment in _first.Concat(_second))
        {
            moment.Dispose();
        }
    }

    private protected override void Load(SafetensorsReader file, int index, bool isSecond, bool isInCodes)
    {
        string name = Parameters[index].Name;
        Tensor moment = (isSecond ? _second : _first)[index];
        if (!isInCodes)
        {
            file.ReadInto(FloatName(isSecond, name), moment);
            return;
        }

        Device device = moment.device;
        (string codes, string scales) = CodeNames(isSecond, name);
        var stored = new EightBitTensor(
            DeviceTransfer.ToDevice(file.Read(codes), device), DeviceTransfer.ToDevice(file.Read(scales), device));
        MomentStaging staging = MomentStaging.Allocate(moment.numel(), device);
        foreach ((long start, long length) in Pieces(moment.numel(), device))
        {
            using var piece = TensorScope.BeginNoGrad();
            MomentStaging staged = staging.Slice(length);
            (isSecond ? EightBitBlocks.Unsigned : EightBitBlocks.Signed).Decode(stored.Slice(start, length), staged.First, staged.Scratch);
            moment.view(-1).narrow(0, start, length).copy_(staged.First.view(-1).narrow(0, 0, length));
        }
    }

    // All memory is allocated here, in the caller's scope, and all pieces share the two buffers.
    private List<IAdamWUpdate> PrepareStaged(
        IReadOnlyList<AdamWEntry> entries, Device device, Func<IReadOnlyList<AdamWTensors>, IAdamWUpdate> fuse)
    {
        long longest = Math.Min(PieceLength(device), entries.Max(entry => entry.Weight.numel()));
        Tensor stagedFirst = empty([longest], ScalarType.Float32, device), stagedSecond = empty([longest], ScalarType.Float32, device);
        var updates = new List<IAdamWUpdate>();
        foreach (AdamWEntry entry in entries)
        {
            Tensor weight = entry.Weight.detach().view(-1), gradient = entry.Gradient.view(-1);
            Tensor allFirst = _first[entry.Index].view(-1), allSecond = _second[entry.Index].view(-1);
            foreach ((long start, long length) in Pieces(weight.numel(), device))
            {
                Tensor first = allFirst.narrow(0, start, length), second = allSecond.narrow(0, start, length);
                var piece = new AdamWTensors(
                    weight.narrow(0, start, length), gradient.narrow(0, start, length), stagedFirst.narrow(0, 0, length),
                    stagedSecond.narrow(0, 0, length));
                updates.Add(new StagedUpdate(
                    load: () => Copy(first, piece.FirstMoment, second, piece.SecondMoment),
                    fuse([piece]),
                    store: () => Copy(piece.FirstMoment, first, piece.SecondMoment, second)));
            }
        }

        return updates;
    }

    private static void Copy(Tensor first, Tensor toFirst, Tensor second, Tensor toSecond)
    {
        DeviceTransfer.Copy(first, toFirst);
        DeviceTransfer.Copy(second, toSecond);
    }

    private Tensor[] Zeros() =>
        [.. Parameters.Select(
            named => _inMainMemory ? zeros(named.Parameter.shape, ScalarType.Float32, CPU) : zeros_like(named.Parameter))];
}
