namespace Grpo.Package.Tests;

/// <summary>The program that the package test compiles against the packages and runs. Replace <see cref="Source"/> to test another one.</summary>
internal static class ConsumerProgram
{
    /// <summary>Program.cs of an application that references all three packages and touches torch before Grpo.</summary>
    public const string Source = """
        using TorchSharp;

        using var ones = torch.ones(3, 4);
        Console.WriteLine($"sum {ones.sum().item<float>()}");
        Console.WriteLine(Grpo.TorchBackend.Describe());
        """;

    /// <summary>What it must write.</summary>
    public const string ExpectedOutput = "sum 12";
}
