using Grpo.Modeling;
using Grpo.Tensors;
using Grpo.Testing;

namespace Grpo.Models.Qwen.Tests;

/// <summary>What was disposed says so, by name, whether the policy was disposed or the model in it.</summary>
public sealed class DisposedModelTests
{
    public static TheoryData<string, bool> Members
    {
        get
        {
            var members = new TheoryData<string, bool>();
            foreach (string member in new[] { "LogProbs", "fused LogProbs", "LogProbsAndEntropies", "StartDecoding", "Save", "Load",
                "Module", "Device", "MergeAdapter", "UnmergeAdapter" })
            {
                members.Add(member, true);
                members.Add(member, false);
            }

            return members;
        }
    }

    [Theory]
    [MemberData(nameof(Members))]
    public void Members_of_a_policy_throw_when_it_is_disposed(string member, bool isModel)
    {
        QwenPolicy policy = LoraModels.Policy(LoraModels.Options);
        using var scope = TensorScope.Begin();
        TokenBatch batch = TokenBatchBuilder.Build([new TokenSequence([1, 2], [3])], 0, TorchSharp.torch.CPU);
        (isModel ? (IDisposable)policy.Model : policy).Dispose();

        var error = Assert.Throws<ObjectDisposedException>(() =>
        {
            switch (member)
            {
                case "LogProbs":
                    policy.LogProbs(batch, 1);
                    break;
                case "fused LogProbs":
                    policy.LogProbs(batch, 1, logProbs => logProbs);
                    break;
                case "LogProbsAndEntropies":
                    policy.LogProbsAndEntropies(batch, 1);
                    break;
                case "StartDecoding":
                    policy.StartDecoding(batch, 1, 1);
                    break;
                case "Save":
                    policy.Save(Path.GetTempPath());
                    break;
                case "Load":
                    policy.Load(Path.GetTempPath());
                    break;
                case "Module":
                    _ = policy.Module;
                    break;
                case "Device":
                    policy.Device();
                    break;
                case "MergeAdapter":
                    policy.MergeAdapter();
                    break;
                default:
                    policy.UnmergeAdapter();
                    break;
            }
        });

        Assert.Contains(nameof(QwenPolicy), error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void References_throw_when_their_model_is_disposed()
    {
        using QwenPolicy policy = LoraModels.Policy(LoraModels.Options);
        var off = new AdapterOffReference(policy);
        QwenReferenceModel copy = QwenReferenceModel.CopyOf(policy);
        using var scope = TensorScope.Begin();
        TokenBatch batch = TokenBatchBuilder.Build([new TokenSequence([1, 2], [3])], 0, TorchSharp.torch.CPU);
        copy.Dispose();
        policy.Dispose();

        Assert.Contains(
            nameof(QwenReferenceModel), Assert.Throws<ObjectDisposedException>(() => copy.LogProbs(batch, 1)).Message,
            StringComparison.Ordinal);
        Assert.Throws<ObjectDisposedException>(() => copy.Module);
        Assert.Contains(
            nameof(AdapterOffReference), Assert.Throws<ObjectDisposedException>(() => off.LogProbs(batch, 1)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_step_with_a_disposed_policy_runs_nothing()
    {
        QwenPolicy policy = LoraModels.Policy(LoraModels.Options);
        int sampled = 0;
        using var optimizer = new GrpoOptimizer(
            policy, new FixedSampler(_ => { sampled++; return []; }), RewardFunction.Create("one", (_, _) => 1));
        policy.Dispose();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => optimizer.StepAsync([Prompt.Create("p", "q")]));
        Assert.Equal(0, sampled);
        Assert.Throws<ObjectDisposedException>(
            () => new GrpoOptimizer(policy, new FixedSampler(), RewardFunction.Create("one", (_, _) => 1)));
    }
}
