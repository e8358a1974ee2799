using Microsoft.Extensions.AI;

namespace Grpo.Core.Tests;

public sealed class PromptTests
{
    [Fact]
    public void Create_puts_the_system_message_first_when_there_is_one()
    {
        Prompt plain = Prompt.Create("a", "question", answer: "4");
        Assert.Equal([ChatRole.User], plain.Messages.Select(message => message.Role));
        Assert.Equal("4", plain.Answer);
        Assert.Empty(plain.Fields);

        Prompt instructed = Prompt.Create("b", "question", system: "rules");
        Assert.Equal([ChatRole.System, ChatRole.User], instructed.Messages.Select(message => message.Role));
        Assert.Equal(["rules", "question"], instructed.Messages.Select(message => message.Text));
        Assert.Null(instructed.Answer);
    }
}
