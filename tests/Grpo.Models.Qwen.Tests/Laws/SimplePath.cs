using Grpo.Modeling;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>
/// What the library computes, in the plainest way: one sequence at a time and as a whole, without padding, cache or chunks, with all its
/// logits. It shares with the library nothing but the model's layers and the random numbers.
/// </summary>
/// <param name="model">Borrowed.</param>
internal sealed class SimplePath(CausalLM model) : IEntropyPolicy, IReferenceModel
{
    // Logits of another order of summation move the borders between tokens by about 1e-6.
    private const double Undecided = 1e-5;

    public nn.Module Module => model;

    public Tensor LogProbs(TokenBatch batch, double temperature) => LogProbsAndEntropies(batch, temperature).LogProbs;

    public TokenStatistics LogProbsAndEntropies(TokenBatch batch, double temperature)
    {
        using var scope = TensorScope.Begin();
        long width = batch.CompletionLength;
        var logProbs = new List<Tensor>();
        var entropies = new List<Tensor>();
        for (long row = 0; row < batch.Count; row++)
        {
            Tensor prompt = batch.PromptIds[row].masked_select(batch.PromptMask[row].ne(0));
            Tensor completion = batch.CompletionIds[row].masked_select(batch.CompletionMask[row].ne(0));
            Tensor logits = model.call(cat([prompt, completion]).unsqueeze(0), null).squeeze(0);     // [P + C, V]
            Tensor all = (logits.narrow(0, prompt.shape[0] - 1, completion.shape[0]) / temperature).log_softmax(-1);
            logProbs.Add(Padded(all.gather(1, completion.unsqueeze(1)).squeeze(1), width));
            entropies.Add(Padded(-(all.exp() * all).sum(-1, keepdim: false), width));
        }

        return new TokenStatistics(scope.Keep(stack(logProbs)), scope.Keep(stack(entropies)));
    }

    /// <summary>
    /// Draws a completion: for each token the whole sequence anew, and the inverse of the cumulative distribution in double precision.
    /// </summary>
    /// <param name="prompt">Its tokens.</param>
    /// <param name="randomKey">From <see cref="CounterRandom.Key"/>.</param>
    /// <param name="sampling">Temperature and length limit; no filters.</param>
    /// <param name="endToken">Ends the completion.</param>
    public SimpleCompletion Complete(IReadOnlyList<int> prompt, ulong randomKey, SamplingOptions sampling, int endToken)
    {
        var ids = new List<int>();
        var logProbs = new List<double>();
        int? decided = null;
        while (ids.Count < sampling.MaxCompletionTokens && (ids.Count == 0 || ids[^1] != endToken))
        {
            double[] probabilities = NextProbabilities([.. prompt, .. ids], sampling.Temperature);
            (int id, double margin) = sampling.Temperature == 0
                ? Largest(probabilities)
                : At(probabilities, CounterRandom.Uniform(randomKey, ids.Count));
            decided ??= margin < Undecided ? ids.Count : null;
            ids.Add(id);
            logProbs.Add(Math.Log(probabilities[id]));
        }

        return new SimpleCompletion(ids, logProbs, decided ?? ids.Count);
    }

    public IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens) =>
        throw new NotSupportedException("Use Complete.");

    public void Save(string directory)
    {
        // a checkpoint is made for its moments alone
    }

    public void Load(string directory) => throw new NotSupportedException("Nothing was saved.");

    private double[] NextProbabilities(int[] ids, double temperature)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor logits = model.call(tensor(ids.Select(id => (long)id).ToArray()).unsqueeze(0), null)[0, -1].to(ScalarType.Float64);
        return (logits / (temperature > 0 ? temperature : 1)).softmax(-1).data<double>().ToArray();
    }

    private static (int Id, double Margin) Largest(double[] probabilities)
    {
        int[] order = [.. Enumerable.Range(0, probabilities.Length).OrderByDescending(id => probabilities[id])];
        return (order[0], probabilities[order[0]] - probabilities[order[1]]);
    }

    private static (int Id, double Margin) At(double[] probabilities, double uniform)
    {
        double below = 0;
        for (int id = 0; ; id++)
        {
            if (uniform < below + probabilities[id] || id == probabilities.Length - 1)
            {
                return (id, Math.Min(uniform - below, below + probabilities[id] - uniform));
            }

            below += probabilities[id];
        }
    }

    private static Tensor Padded(Tensor values, long width) => nn.functional.pad(values, [0, width - values.shape[0]]);
}

/// <summary>A completion of the simple path.</summary>
/// <param name="TokenIds">The tokens.</param>
/// <param name="LogProbs">Theirs, nats.</param>
/// <param name="Decided">
/// How many tokens rounding cannot have chosen: up to the first whose random number lies at the border of two tokens.
/// </param>
internal sealed record SimpleCompletion(IReadOnlyList<int> TokenIds, IReadOnlyList<double> LogProbs, int Decided);
