using Grpo.Modeling;
using Grpo.Optimization;
using Grpo.Tensors;
using Grpo.Testing;
using TorchSharp;

namespace Grpo.Core.Tests.Training;

public sealed class PlugInIdentityTests
{
    [Fact]
    public void Facts_of_parts_stand_under_their_name()
    {
        IRewardFunction inner = RewardFunction.Create("Judge", (_, _) => 1.0, identity: "model-1");
        PlugInIdentity identity = new PlugInIdentity("best of")
            .With("samples", 8)
            .With("temperature", 0.5)
            .With("note", (string?)null)
            .WithPart("inner", inner);

        Assert.Equal("best of", identity.Kind);
        Assert.Equal(
            ["samples: 8", "temperature: 0.5", "inner: delegate", "inner.identity: model-1", "inner.name: Judge"],
            identity.Facts.Select(fact => $"{fact.Key}: {fact.Value}"));
    }

    [Fact]
    public void A_plug_in_without_identity_is_its_type_and_what_its_interface_tells()
    {
        PlugInIdentity reward = PlugInIdentity.Of(new Toy.LetterReward()), tokenizer = PlugInIdentity.Of(new CharTokenizer("abc"));

        Assert.Equal("Grpo.Core.Tests.Toy+LetterReward", reward.Kind);
        Assert.Equal([new("name", "Letter")], reward.Facts);
        Assert.Equal("Grpo.Testing.CharTokenizer", tokenizer.Kind);
        Assert.Equal([new("tokens", "5"), new("end tokens", "1"), new("pad token", "0")], tokenizer.Facts);
    }

    [Fact]
    public void A_long_text_is_shown_by_its_beginning_and_its_hash()
    {
        string text = new('a', 301);
        string shown = new PlugInIdentity("k").With("prompt", text).Facts[0].Value;

        // printf 'a%.0s' {1..301} | sha256sum | cut -c 1-16
        Assert.Equal($"{text[..120]}… (301 characters, SHA-256 eb22b48c636cd5d3)", shown);
        Assert.Equal(text[..300], new PlugInIdentity("k").With("prompt", text[..300]).Facts[0].Value);
    }

    [Fact]
    public void An_identity_that_is_null_or_names_a_fact_twice_is_refused()
    {
        Assert.Equal(
            "NullReward.Identity is null. Return what tells it from others, or leave IHasIdentity out.",
            Assert.Throws<InvalidOperationException>(() => PlugInIdentity.Of(new NullReward())).Message);
        Assert.StartsWith(
            "The identity of k has the fact 'a' already; every fact needs a name of its own.",
            Assert.Throws<ArgumentException>(() => new PlugInIdentity("k").With("a", 1).With("a", 2)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new PlugInIdentity(" "));
        Assert.Throws<ArgumentException>(() => new PlugInIdentity("k").With("", "1"));
    }

    [Fact]
    public void Texts_do_not_depend_on_the_culture()
    {
        System.Globalization.CultureInfo before = System.Globalization.CultureInfo.CurrentCulture;
        try
        {
            System.Globalization.CultureInfo.CurrentCulture = System.Globalization.CultureInfo.GetCultureInfo("de-DE");
            using BigramPolicy policy = new(vocabularySize: 40);
            Assert.Equal("0.5", new PlugInIdentity("k").With("a", 0.5).Facts[0].Value);
            Assert.StartsWith("1,600 numbers, SHA-256 ", new RunIdentity(policy, null).Facts["model.weights"], StringComparison.Ordinal);
        }
        finally
        {
            System.Globalization.CultureInfo.CurrentCulture = before;
        }
    }

    [Fact]
    public void Weights_are_those_of_the_first_look_at_a_module()
    {
        using BigramPolicy policy = Toy.Policy(), other = Toy.Policy();
        string first = new RunIdentity(policy, null).Facts["model.weights"];
        using (TensorScope.BeginNoGrad())
        {
            policy.Table.add_(1);
            other.Table.add_(1);
        }

        Assert.Equal(first, new RunIdentity(policy, null).Facts["model.weights"]);
        Assert.NotEqual(first, new RunIdentity(other, null).Facts["model.weights"]);
    }

    [Fact]
    public void Weights_are_equal_however_they_are_stored()
    {
        using var scope = TensorScope.Begin();
        torch.Tensor table = torch.arange(12, torch.ScalarType.Float32).view(3, 4), whole = torch.zeros(6, 8);
        torch.Tensor view = whole.narrow(0, 2, 3).narrow(1, 1, 4), transposed = table.t().contiguous().t();
        view.copy_(table);
        string expected = WeightHash.Describe([("a", table), ("b", table)]);

        Assert.Equal(expected, WeightHash.Describe([("b", transposed), ("a", view)])); // order, strides and sharing make no difference
        Assert.StartsWith("24 numbers, SHA-256 ", expected, StringComparison.Ordinal);
        Assert.NotEqual(expected, WeightHash.Describe([("a", table), ("b", table.to(torch.ScalarType.BFloat16))]));
        Assert.NotEqual(expected, WeightHash.Describe([("a", table), ("c", table)]));
    }

    [Fact]
    public void A_type_is_told_without_versions_of_assemblies_and_paths_of_files()
    {
        Assert.Equal(
            "Grpo.Core.Tests.Training.PlugInIdentityTests+Generic`2[System.String,Grpo.Core.Tests.Toy+LetterReward]",
            PlugInIdentity.Of(new Generic<string, Toy.LetterReward>()).Kind);
        Assert.Equal("Grpo.Core.Tests.Training.FileReward", PlugInIdentity.Of(new FileReward()).Kind);
        Assert.Equal(
            "Grpo.Core.Tests.Training.PlugInIdentityTests+Generic`2[System.Int32,Grpo.Core.Tests.Training.FileReward]",
            PlugInIdentity.Of(new Generic<int, FileReward>()).Kind);
    }

    [Fact]
    public void A_buffer_that_is_not_saved_is_none_of_the_weights()
    {
        using var module = new Buffered();
        using BigramPolicy inner = Toy.Policy();
        string expected;
        using (var scope = TensorScope.Begin())
        {
            expected = WeightHash.Describe([("kept", torch.ones(2)), ("weight", torch.zeros(3))]);
        }

        var run = new RunIdentity(inner, new BufferedReference(module));
        Assert.Equal(expected, run.Facts["reference.weights"]);
    }

    private sealed class Generic<TFirst, TSecond> : CompletionReward
    {
        public override Reward Score(Prompt prompt, Completion completion) => 0.0;
    }

    private sealed class Buffered : torch.nn.Module
    {
        public Buffered()
            : base(nameof(Buffered))
        {
            register_parameter("weight", new TorchSharp.Modules.Parameter(torch.zeros(3)));
            register_buffer("kept", torch.ones(2));
            register_buffer("cache", torch.ones(4), persistent: false);
        }
    }

    private sealed class BufferedReference(torch.nn.Module module) : IReferenceModel
    {
        public torch.nn.Module Module => module;

        public torch.Tensor LogProbs(TokenBatch batch, double temperature) => throw new NotSupportedException();
    }

    private sealed class NullReward : CompletionReward, IHasIdentity
    {
        public PlugInIdentity Identity => null!;

        public override Reward Score(Prompt prompt, Completion completion) => 0.0;
    }
}

file sealed class FileReward : CompletionReward
{
    public override Reward Score(Prompt prompt, Completion completion) => 0.0;
}
