using Grpo.Testing;

namespace Grpo.Core.Tests.Optimization;

public sealed class GrpoOptimizerStateTests
{
    [Fact]
    public void Load_refuses_a_folder_that_holds_only_weights() => Refuse<FileNotFoundException>(
        folder => File.Delete(folder["grpo_state.json"]),
        folder => $"'{folder.Path}' holds no training state: expected grpo_state.json. A folder with weights only cannot be resumed; "
            + "start a new run from it.");

    [Fact]
    public void Load_refuses_another_seed() => Refuse<InvalidDataException>(
        folder => Rewrite(folder, "\"seed\": 42", "\"seed\": 7"),
        folder => $"'{folder["grpo_state.json"]}' was written with seed 7 but the options say 42: the run could not continue exactly. "
            + "Use the same seed.");

    [Fact]
    public void Load_refuses_another_format() => Refuse<InvalidDataException>(
        folder => Rewrite(folder, "\"format\": 1", "\"format\": 2"),
        folder => $"'{folder["grpo_state.json"]}' has format 2; this version reads format 1.");

    [Fact]
    public void Load_refuses_negative_counters() => Refuse<InvalidDataException>(
        folder => Rewrite(folder, "\"step\": 1", "\"step\": -1"),
        folder => $"'{folder["grpo_state.json"]}' counts -1 steps and 1 optimizer steps; neither can be negative. The file is damaged.");

    [Fact]
    public void Load_refuses_numbers_that_are_too_large_to_be_finite() => Refuse<InvalidDataException>(
        folder => Rewrite(folder, "\"gradient_norms\": [", "\"gradient_norms\": [1e999,"),
        folder =>
            $"'{folder["grpo_state.json"]}' holds a KL coefficient or a gradient norm that is negative or infinite. The file is damaged.");

    [Fact]
    public void Load_refuses_moments_that_are_no_floating_point_numbers_before_it_changes_a_weight() => Refuse<InvalidDataException>(
        folder =>
        {
            byte[] file = File.ReadAllBytes(folder["optimizer.safetensors"]);
            int type = file.AsSpan().LastIndexOf("\"F32\""u8);
            "\"I32\""u8.CopyTo(file.AsSpan(type));
            File.WriteAllBytes(folder["optimizer.safetensors"], file);
        },
        folder =>
            $"'{folder["optimizer.safetensors"]}': 'exp_avg_sq.table' is Int32 but must be of a floating-point type. The file is damaged.");

    [Theory]
    [InlineData("null", "holds null")]
    [InlineData("{", "is not a training state")]
    [InlineData("{}", "is not a training state")]
    [InlineData("[1]", "is not a training state")]
    public void Load_refuses_what_is_no_training_state(string content, string message)
    {
        using var folder = new TemporaryFolder();
        Save(folder);
        File.WriteAllText(folder["grpo_state.json"], content);
        Assert.Contains(message, LoadError<InvalidDataException>(folder).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Load_does_not_read_a_file_that_is_far_too_large()
    {
        using var folder = new TemporaryFolder();
        Save(folder);
        File.WriteAllText(folder["grpo_state.json"], new string(' ', 2 << 20));
        Assert.Equal(
            $"'{folder["grpo_state.json"]}' has 2097152 bytes; a training state has a few hundred.",
            LoadError<InvalidDataException>(folder).Message);
    }

    private static void Refuse<T>(Action<TemporaryFolder> damage, Func<TemporaryFolder, string> message)
        where T : Exception
    {
        using var folder = new TemporaryFolder();
        Save(folder);
        damage(folder);
        Assert.Equal(message(folder), LoadError<T>(folder).Message);
    }

    private static T LoadError<T>(TemporaryFolder folder)
        where T : Exception
    {
        using BigramPolicy policy = Toy.Policy();
        using GrpoOptimizer optimizer = Optimizer(policy);
        float[] weights = policy.Weights();
        T exception = Assert.Throws<T>(() => optimizer.Load(folder.Path));
        Assert.Equal(weights, policy.Weights());
        Assert.Equal(0, optimizer.Step);
        return exception;
    }

    private static void Save(TemporaryFolder folder)
    {
        using BigramPolicy policy = Toy.Policy();
        using GrpoOptimizer optimizer = Optimizer(policy);
        optimizer.Update([Toy.Scored(Toy.Group(Toy.Prompts[0], "a", "b"), 1, -1)]);
        optimizer.Save(folder.Path);
    }

    private static GrpoOptimizer Optimizer(BigramPolicy policy) => new(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);

    private static void Rewrite(TemporaryFolder folder, string old, string replacement)
    {
        string text = File.ReadAllText(folder["grpo_state.json"]);
        Assert.Contains(old, text, StringComparison.Ordinal);
        File.WriteAllText(folder["grpo_state.json"], text.Replace(old, replacement, StringComparison.Ordinal));
    }
}
