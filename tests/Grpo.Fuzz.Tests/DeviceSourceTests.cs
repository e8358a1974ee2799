namespace Grpo.Fuzz.Tests;

/// <summary>
/// Every tensor of the library is created on a named device, and every transfer between devices goes through one class, which counts it.
/// </summary>
public sealed class DeviceSourceTests
{
    private const string Before =
        """
        using TorchSharp;
        using static TorchSharp.torch;
        static class Planted
        {
            static object Make(Tensor values, Device device) =>
        """;

    [Fact]
    public void Library_names_every_device_and_transfers_through_one_class()
    {
        (IReadOnlyList<string> violations, int calls) = DeviceRules.Check(
            RepositoryFiles.Read("src").Where(file => file.File.EndsWith(".cs", StringComparison.Ordinal))
                .Select(file => (file.File, string.Join('\n', file.Lines))));
        Assert.True(calls > 800, $"Only {calls} calls of torch were resolved: the references are incomplete.");
        Assert.Empty(violations);
    }

    [Theory]
    [InlineData("zeros([2], ScalarType.Float32)", "zeros names no device")]
    [InlineData("torch.arange(3)", "arange names no device")]
    [InlineData("eye(3, dtype: ScalarType.Bool, device: null)", "eye names no device")]
    [InlineData("tensor(new long[] { 1 })", "tensor names no device")]
    [InlineData("tensor(new long[] { 1 }, device: device)", "tensor copies an array")]
    [InlineData("values.cpu()", "cpu is a transfer")]
    [InlineData("values.sum().item<float>()", "item is a transfer")]
    [InlineData("values.ToSingle()", "ToSingle is a transfer")]
    [InlineData("(float)values", "a conversion of a tensor")]
    [InlineData("values.data<float>()[0]", "data is a transfer")]
    [InlineData("values.bytes.Length", "bytes reads memory")]
    [InlineData("values.to(device)", "to is a transfer")]
    [InlineData("values.to(ScalarType.Float32).to(DeviceType.CUDA)", "to is a transfer")]
    [InlineData("values.nonzero()", "nonzero is a transfer")]
    public void Check_finds_a_planted_violation(string expression, string expected)
    {
        string found = Assert.Single(Violations(expression));
        Assert.StartsWith($"src/Planted.cs:6: {expected}", found, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("zeros([2], ScalarType.Float32, device)")]
    [InlineData("torch.arange(3, device: values.device)")]
    [InlineData("tensor(new long[] { 1 }, device: CPU)")]
    [InlineData("zeros_like(values) + values.new_zeros(2)")]
    [InlineData("values.to(ScalarType.Float64).sum()")]
    [InlineData("stack([values, values])")]
    public void Check_accepts_tensors_on_named_devices(string expression) => Assert.Empty(Violations(expression));

    private static IReadOnlyList<string> Violations(string expression)
    {
        (IReadOnlyList<string> violations, int calls) = DeviceRules.Check([("src/Planted.cs", $"{Before}\n{expression};\n}}")]);
        Assert.True(calls > 0 || expression.Contains("bytes", StringComparison.Ordinal) || expression[0] == '(', "Nothing was resolved.");
        return violations;
    }
}
