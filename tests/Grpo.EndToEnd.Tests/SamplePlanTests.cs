namespace Grpo.EndToEnd.Tests;

/// <summary>The sample's plan of memory, as a user asks for it.</summary>
[Trait("Speed", "Slow")]
public sealed class SamplePlanTests : IDisposable
{
    private const int DoesNotFit = 3;

    private readonly string _folder = Directory.CreateTempSubdirectory("grpo-plan-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Plan_of_a_shape_says_whether_it_fits()
    {
        string[] run =
        [
            "plan", "--model", "0.5b", "--kl-coefficient", "0.04", "--max-prompt-tokens", "128", "--max-completion-tokens", "128",
        ];
        SampleProcess.Result fits = (await SampleProcess.RunAsync("Gsm8k", [.. run, "--memory", "24GB"])).Succeeded();
        Assert.Contains("weights            1.98 GB  always\n", fits.Output, StringComparison.Ordinal); // 494,032,768 · 4
        Assert.Contains("moments            3.95 GB  always   494,032,768 trained numbers\n", fits.Output, StringComparison.Ordinal);
        Assert.Contains("reference          1.98 GB  always\n", fits.Output, StringComparison.Ordinal);
        Assert.Contains("fits into 24.0 GB", fits.Output, StringComparison.Ordinal);

        SampleProcess.Result tooLarge = await SampleProcess.RunAsync("Gsm8k", [.. run, "--memory", "7.5 GiB"]);
        Assert.Equal(DoesNotFit, tooLarge.ExitCode);
        Assert.Contains("does not fit into 8.05 GB", tooLarge.Output, StringComparison.Ordinal);
        Assert.Contains("adapters of rank 16", tooLarge.Output, StringComparison.Ordinal);

        SampleProcess.Result mixed = (await SampleProcess.RunAsync("Gsm8k", [.. run, "--memory", "24GB", "--bfloat16", "true"]))
            .Succeeded();
        Assert.Contains("weights            1.98 GB  always\n", mixed.Output, StringComparison.Ordinal);
        Assert.Contains("reference           988 MB  always\n", mixed.Output, StringComparison.Ordinal); // 2 bytes each

        // What it advises fits.
        SampleProcess.Result adapters = (await SampleProcess.RunAsync(
            "Gsm8k", [.. run, "--memory", "7.5GiB", "--lora-rank", "16", "--gradient-checkpointing", "true"])).Succeeded();
        Assert.Contains("\nlearning rate 1E-06, the default of full training\n", fits.Output, StringComparison.Ordinal);
        Assert.Contains(
            "\nlearning rate 1E-05, the default of adapters: ten times that of full training\n", adapters.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Plan_of_a_folder_reads_its_configuration_alone()
    {
        File.Copy(Path.Combine(SampleProcess.TinyModel, "config.json"), Path.Combine(_folder, "config.json"));
        SampleProcess.Result folder = (await SampleProcess.RunAsync(
            "Gsm8k", "plan", "--model", _folder, "--device", "cuda", "--memory", "8GB")).Succeeded();
        Assert.Contains("fits into 8.00 GB", folder.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("process", folder.Output, StringComparison.Ordinal); // of the device alone
    }

    [Fact]
    public async Task Plan_without_arguments_is_of_the_first_command_on_this_machine() =>
        Assert.Contains("fits into", (await SampleProcess.RunAsync("Gsm8k", "plan")).Succeeded().Output, StringComparison.Ordinal);

    [Theory]
    [InlineData("--memory", "24", "24GB")]
    [InlineData("--memory", "24GX", "GiB")]
    [InlineData("--memory", "0GB", "above 0")]
    [InlineData("--device", "gpu", "cuda:n")]
    [InlineData("--device", "cuda", "--memory")]
    [InlineData("--model", "/no/such/folder", "/no/such/folder")]
    public async Task Mistake_in_a_plan_is_named(string option, string value, string message) =>
        (await SampleProcess.RunAsync("Gsm8k", "plan", option, value)).Failed(value, message);
}
