using Grpo.Modeling;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Tests.Text;
using Grpo.Models.Qwen.Weights;
using Grpo.Optimization;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

public sealed class FrozenEmbeddingTests : IDisposable
{
    private const string Embedding = "model.embed_tokens.weight";

    private static readonly TokenSequence[] Sequences = [new([1, 2, 3], [4, 5]), new([6], [7, 8, 9]), new([1, 2, 3], [10])];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    public void The_embedding_has_no_gradient_and_all_others_have_theirs(bool tied, bool checkpointing)
    {
        using QwenPolicy whole = new(TinyModels.Create(tied)), frozen = new(TinyModels.Create(tied));
        frozen.Model.FreezeEmbeddings();
        frozen.Model.GradientCheckpointing = checkpointing;
        using var scope = TensorScope.Begin();
        Dictionary<string, Tensor> expected = Gradients(whole), gradients = Gradients(frozen);
        Assert.Equal(expected.Keys.Where(name => name != Embedding), gradients.Keys);
        Assert.All(gradients, entry => TensorAssert.Near(
            expected[entry.Key], entry.Value, 1e-6 * Math.Max(1, expected[entry.Key].abs().max().item<float>()), entry.Key));
        Assert.Equal(tied ? 0 : 1, gradients.Keys.Count(name => name == "lm_head.weight"));
        Assert.Equal(expected.Count - 1, frozen.TrainedParameters().Count);
    }

    [Fact]
    public void Entropies_need_no_gradient_of_the_embedding_either()
    {
        using QwenPolicy policy = new(TinyModels.Create());
        policy.Model.FreezeEmbeddings();
        using var scope = TensorScope.Begin();
        TokenStatistics both = policy.LogProbsAndEntropies(TokenBatchBuilder.Build(Sequences, padTokenId: 0, CPU), 1);
        (both.LogProbs.sum() + both.Entropies.sum()).backward();
        Assert.Null(policy.Model.HeadWeight.grad);
        Assert.NotNull(policy.Module.get_parameter("model.norm.weight")!.grad);
    }

    [Fact]
    public void Steps_leave_the_embedding_as_it_was_and_a_checkpoint_holds_it()
    {
        using QwenPolicy policy = new(TinyModels.Create()), untouched = new(TinyModels.Create()), loaded = new(TinyModels.Create(seed: 8));
        policy.Model.FreezeEmbeddings();
        using var scope = TensorScope.Begin();
        using var optimizer = new GrpoOptimizer(policy, Sampler, new ParityReward(), new GrpoOptions { LearningRate = 0.01 });
        TrainingPlan plan = optimizer.Explain();
        long embedding = 37 * 24;
        Assert.Equal((embedding, 2 * 4 * plan.TrainedParameters), (plan.FrozenParameters, plan.MomentBytes));
        Assert.Equal(policy.Module.parameters().Sum(parameter => parameter.numel()) - embedding, plan.TrainedParameters);
        for (int step = 0; step < 3; step++)
        {
            Assert.NotEmpty(optimizer.Update([Scored()]));
        }

        optimizer.Save(_folder.Path);
        loaded.Load(_folder.Path);
        foreach (((string name, Tensor before), Tensor after, Tensor read) in untouched.Module.named_parameters()
            .Zip(policy.Module.parameters(), loaded.Module.parameters())
            .Select(row => ((row.First.name, (Tensor)row.First.parameter), (Tensor)row.Second, (Tensor)row.Third)))
        {
            TensorAssert.Identical(after, read, name);
            Assert.Equal(name != Embedding, (after - before).abs().max().item<float>() > 0);
        }

        using SafetensorsReader moments = SafetensorsReader.Open(_folder.File("optimizer.safetensors"));
        Assert.DoesNotContain(moments.Entries.Keys, name => name.EndsWith(Embedding, StringComparison.Ordinal));
        Assert.Equal(2 * policy.TrainedParameters().Count, moments.Entries.Count);

        using QwenPolicy again = new(TinyModels.Create(seed: 9));
        again.Model.FreezeEmbeddings();
        using var resumed = new GrpoOptimizer(again, Sampler, new ParityReward(), new GrpoOptions { LearningRate = 0.01 });
        resumed.Load(_folder.Path);
        optimizer.Update([Scored()]);
        resumed.Update([Scored()]);
        Assert.All(
            policy.Module.named_parameters().Zip(again.Module.parameters()),
            pair => TensorAssert.Identical(pair.First.parameter, pair.Second, pair.First.name));
    }

    [Fact]
    public void Copies_freeze_what_the_original_freezes()
    {
        using CausalLM model = TinyModels.Create(tied: false), merged = TinyModels.Create();
        using CausalLM trained = model.Clone();
        model.FreezeEmbeddings();
        using CausalLM copy = model.Clone();
        Assert.Equal([Embedding], copy.named_parameters().Where(entry => !entry.parameter.requires_grad).Select(entry => entry.name));
        Assert.All(trained.parameters(), parameter => Assert.True(parameter.requires_grad));

        // A copy of merged weights is a model like any other.
        using var policy = new QwenPolicy(merged);
        merged.AddAdapter(LoraModels.Options);
        policy.MergeAdapter();
        using CausalLM whole = merged.Clone();
        Assert.All(whole.parameters(), parameter => Assert.True(parameter.requires_grad));
    }

    [Fact]
    public async Task Loading_freezes_it_by_option()
    {
        using (var model = CausalLM.Initialize(TinyModels.Config() with { VocabularySize = 264 }, seed: 7))
        {
            QwenWeights.Save(model, _folder.Path);
        }

        TinyTokenizer.Load(TinyTokenizer.TokenizerJson()).Save(_folder.Path);
        using QwenPretrained frozen = await QwenPretrained.LoadAsync(
            _folder.Path, new QwenLoadOptions { FreezeEmbeddings = true, WithReference = true });
        using QwenPretrained whole = await QwenPretrained.LoadAsync(_folder.Path);
        string[] all = [.. whole.Policy.TrainedParameters().Select(entry => entry.Name)];
        Assert.Equal(all.Where(name => name != Embedding), frozen.Policy.TrainedParameters().Select(entry => entry.Name));
        Assert.Contains(Embedding, all);
    }

    private static PolicyGroupSampler Sampler => new(TinyTokenizer.Load(TinyTokenizer.TokenizerJson()), new QwenChatTemplate());

    private static ScoredGroup Scored()
    {
        Completion[] completions = [new([4, 5], "a", FinishReason.EndToken), new([7, 8, 9], "b", FinishReason.EndToken)];
        return new ScoredGroup(new RolloutGroup(Prompt.Create("p", "?"), [1, 2, 3], completions), [1, 0], [1, -1]);
    }

    private static Dictionary<string, Tensor> Gradients(QwenPolicy policy)
    {
        Tensor logProbs = policy.LogProbs(TokenBatchBuilder.Build(Sequences, padTokenId: 0, CPU, sharePrompts: true), 0.8);
        BackwardPass.Run((logProbs * logProbs.detach()).sum());
        return policy.Module.named_parameters().Where(entry => entry.parameter.grad is not null)
            .ToDictionary(entry => entry.name, entry => entry.parameter.grad!.clone());
    }

    private sealed class ParityReward : CompletionReward
    {
        public override Reward Score(Prompt prompt, Completion completion) => completion.TokenIds.Average(id => 1.0 - (id % 2));
    }
}
