using Grpo.Modeling;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Snippets;

/// <summary>A whole policy in one table: the next token depends on the last one only.</summary>
public sealed class BigramPolicy : IPolicy, IDisposable
{
    private const string FileName = "bigram.safetensors";

    private readonly BigramTable _table;

    public BigramPolicy(int vocabularySize)
    {
        TorchBackend.EnsureAvailable();
        _table = new BigramTable(vocabularySize);
    }

    public nn.Module Module => _table;

    public Tensor LogProbs(TokenBatch batch, double temperature)
    {
        using var scope = TensorScope.Begin();
        // Prompts are padded on the left, so the last column is the token before the completion in every row.
        Tensor lastOfPrompt = batch.PromptIds.narrow(1, batch.PromptLength - 1, 1);                              // [B, 1]
        Tensor previous = cat([lastOfPrompt, batch.CompletionIds.narrow(1, 0, batch.CompletionLength - 1)], 1);   // [B, C]
        Tensor logits = _table.call(previous.reshape(-1)) / temperature;                                         // [B·C, V]
        Tensor logProbs = logits.log_softmax(-1).gather(1, batch.CompletionIds.reshape(-1, 1));                  // [B·C, 1]
        return scope.Keep(logProbs.view(batch.Count, batch.CompletionLength) * batch.CompletionMask);            // [B, C]
    }

    public IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens) =>
        new BigramDecodingSession(_table, prompts, groupSize);

    public void Save(string directory)
    {
        var tensors = _table.named_parameters().Select(named => KeyValuePair.Create<string, Tensor>(named.name, named.parameter));
        SafetensorsWriter.Write(Path.Combine(directory, FileName), tensors);
    }

    public void Load(string directory)
    {
        using SafetensorsReader reader = SafetensorsReader.Open(Path.Combine(directory, FileName));
        foreach ((string name, Tensor parameter) in _table.named_parameters())
        {
            reader.ReadInto(name, parameter);                                    // in place: an optimizer holds these parameters
        }
    }

    public void Dispose() => _table.Dispose();
}
